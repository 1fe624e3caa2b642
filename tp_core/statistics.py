"""Intervals and tests. Torch-free."""
