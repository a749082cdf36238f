"""How the engine stands, for health, doctor and tests."""

from __future__ import annotations

from msgspec import Struct

from projections.warehouse.build import FailedEvent


class EngineState(Struct, frozen=True, kw_only=True):
    """How the view stands. `position` of `head` is applied; `serving` is false while nothing can be read.
    `degraded` means that events failed or that the engine is in trouble (`last_error`)."""

    position: int
    head: int
    lag: int
    serving: bool
    degraded: bool
    failed_events: list[FailedEvent]
    rebuilding: bool
    rebuild_position: int | None
    schema_hash: str
    epoch: str
    last_error: str | None
