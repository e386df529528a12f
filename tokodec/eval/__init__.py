"""Measuring: suites, runs and reports over every model of the zoo. Suites and results lie in the room ``eval/``."""
