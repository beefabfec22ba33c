"""Exact moments of one round: its mean, its second moments, and what they are made of."""
