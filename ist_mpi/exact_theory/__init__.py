"""What is known of a run without making it: laws, moments, recursions, constants."""
