"""Recorded sessions: read, exported, imported, run again and compared."""
