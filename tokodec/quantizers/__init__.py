"""Latent vectors to ids and back, one behaviour a class."""
