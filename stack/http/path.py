"""Ids in paths that may contain slashes, such as those of models."""

from __future__ import annotations


def id_of(rest: str) -> str:
    """Returns the id in the rest of a path."""
    return rest.removeprefix("/")
