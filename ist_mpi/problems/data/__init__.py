"""Samples of a user's own: their settings, their forms, and who has which of them."""
