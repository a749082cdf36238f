"""Ids in paths that may hold slashes themselves, as those of models do."""

from __future__ import annotations


def id_of(rest: str) -> str:
    """The id that is the rest of a path."""
    return rest.removeprefix("/")
