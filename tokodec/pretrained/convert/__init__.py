"""Weights of other projects, brought into this one's form."""
