"""Erasures: up to where deleted content has left all files, and how long what remains of it on spans stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from schemas.events.base import Event
from schemas.events.erasure import ErasureCompleted

SEGMENT_DAYS = 1
"""Telemetry is removed a file at a time, and a file takes a day of it."""
_DAY_US = 86_400_000_000


class ErasureState(Struct, frozen=True):
    """The content of all deletions up to the position `until` is gone."""

    until: int = 0


def evolve(state: ErasureState, event: Event, recorded_at: int, version: int) -> ErasureState:
    return ErasureState(event.until) if isinstance(event, ErasureCompleted) else state


MAX_NAMED = 100
"""Removed things that are named in one event; the others are counted."""


def complete(until: int, spans: Mapping[str, int], removed: Sequence[str]) -> list[Event]:
    named = list(removed[:MAX_NAMED])
    if len(removed) > MAX_NAMED:
        named.append(f"and {len(removed) - MAX_NAMED} more")
    return [ErasureCompleted(until=until, spans=dict(spans), removed=named)]


def names_until_us(requested_us: int, retention_days: float) -> int:
    """When the last span that was recorded before a deletion is removed, microseconds since 1970."""
    return requested_us + int((retention_days + SEGMENT_DAYS) * _DAY_US)
