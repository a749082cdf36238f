"""Fetches URLs of callers without giving them access to the internal network."""
