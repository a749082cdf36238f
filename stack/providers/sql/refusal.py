"""The error of queries that are not run, or cannot be answered."""

from __future__ import annotations


class QueryRefused(Exception):
    """The text is for the caller: it names the problem and the remedy."""
