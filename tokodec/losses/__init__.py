"""Objectives: what a recipe weighs."""
