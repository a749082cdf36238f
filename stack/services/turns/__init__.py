"""Turns: running, following, resuming and ending them."""
