"""Weights: finding, verifying, loading and saving them."""
