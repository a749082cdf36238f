"""Scoring functions: one module per family, using the types of `port.py`."""
