"""Shields: checks of the texts of a turn, by kind."""
