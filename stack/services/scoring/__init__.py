"""Scoring of rows and datasets, and model judges."""
