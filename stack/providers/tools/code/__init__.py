"""The code interpreter: a group with one tool, and its engines."""
