"""What is known of logistic regression: x*, x∞, f_D that submodels minimise, bounds."""
