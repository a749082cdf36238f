"""How far each follower has come, as the `eventsourcing` library's tracking recorder sees it."""

from __future__ import annotations

from typing import Protocol

from eventsourcing.persistence import IntegrityError, Tracking, TrackingRecorder

from projections.warehouse.errors import PositionNotAhead


class PositionStore(Protocol):
    """The storage of positions, in the database of the view itself."""

    def insert_position(self, name: str, position: int) -> None:
        """Records that `name` has reached `position`, atomically. Raises PositionNotAhead if it has already
        reached it."""
        ...

    def max_position(self, name: str) -> int | None:
        """Returns the furthest position that `name` has reached; None if it has not started."""
        ...


class EngineTracking(TrackingRecorder):
    """Implements the library's interface with the engine's own positions."""

    def __init__(self, positions: PositionStore) -> None:
        self._positions = positions

    def insert_tracking(self, tracking: Tracking) -> None:
        """Raises IntegrityError for a position that is not greater than the last one."""
        try:
            self._positions.insert_position(tracking.application_name, tracking.notification_id)
        except PositionNotAhead as error:
            raise IntegrityError(str(error)) from error

    def max_tracking_id(self, application_name: str) -> int | None:
        return self._positions.max_position(application_name)
