"""Erasures: the position up to which deleted content has left all files, and how long remains on spans are
kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from schemas.events.base import Event
from schemas.events.erasure import ErasureCompleted

SEGMENT_DAYS = 1
"""Telemetry is removed by whole files, and a file covers one day."""
_DAY_US = 86_400_000_000


class ErasureState(Struct, frozen=True):
    """The content of all deletions up to position `until` has been removed."""

    until: int = 0


def evolve(state: ErasureState, event: Event, recorded_at: int, version: int) -> ErasureState:
    return ErasureState(event.until) if isinstance(event, ErasureCompleted) else state


MAX_NAMED = 100
"""Maximum number of removed items that one event names; further ones are only counted."""


def complete(until: int, spans: Mapping[str, int], removed: Sequence[str]) -> list[Event]:
    named = list(removed[:MAX_NAMED])
    if len(removed) > MAX_NAMED:
        named.append(f"and {len(removed) - MAX_NAMED} more")
    return [ErasureCompleted(until=until, spans=dict(spans), removed=named)]


def names_until_us(requested_us: int, retention_days: float) -> int:
    """Returns when the last span recorded before a deletion is removed, in microseconds since 1970."""
    return requested_us + int((retention_days + SEGMENT_DAYS) * _DAY_US)
