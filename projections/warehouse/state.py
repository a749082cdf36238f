"""The state of a follower, for health, doctor and tests."""

from __future__ import annotations

from msgspec import Struct


class FollowerState(Struct, frozen=True, kw_only=True):
    """The served tables contain the log up to `position` of `head`; `position` is 0 while nothing can be read
    (`serving` is false). `rebuild_position` is that of new tables that are being built. `last_error` is why
    the tables currently do not follow the log."""

    position: int
    head: int
    lag: int
    serving: bool
    rebuilding: bool
    rebuild_position: int | None
    last_error: str | None


class FailedEvent(Struct, frozen=True):
    """An event that could not be applied, and the database's error text."""

    position: int
    stream: str
    name: str
    error: str


class EngineState(FollowerState, frozen=True, kw_only=True):
    """`degraded` means that events failed or that the views do not follow the log."""

    degraded: bool
    failed_events: list[FailedEvent]
    schema_hash: str
    epoch: str
