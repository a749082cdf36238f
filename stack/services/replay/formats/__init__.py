"""Formats of other tools: each a pure function between the text of a file and sessions."""
