"""Shields: which objection counts."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.events.payload import Violation

LEVELS = ("error", "warn", "info")
"""The levels of objections, the severest first. Only an error ends a turn."""


def severest(found: Iterable[Violation | None]) -> Violation | None:
    """Returns the severest objection, the first among equals; None if there is none. An unknown level is the severest."""
    objections = [one for one in found if one is not None]
    return min(objections, key=lambda one: _rank(one.level), default=None)


def refuses(violation: Violation | None) -> bool:
    """Returns whether the text must be withheld."""
    return violation is not None and violation.level not in ("warn", "info")


def _rank(level: str) -> int:
    return LEVELS.index(level) if level in LEVELS else 0
