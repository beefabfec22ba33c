"""Exact moments of methods with a state beside x, or another step: linear around x*, noise-free."""
