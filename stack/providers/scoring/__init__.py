"""Scoring functions: one module per family, behind the types of `port.py`."""
