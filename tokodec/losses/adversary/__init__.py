"""Discriminators and what trains them: pictures that no network can tell from photographs."""
