"""Fetching what a caller's URL names, without becoming the caller's hand inside this network."""
