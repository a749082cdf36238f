"""Shields: run for turns, and directly for callers."""
