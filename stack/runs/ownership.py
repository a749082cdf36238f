"""The process that drives a run."""

from __future__ import annotations

from msgspec import Struct

from schemas.events.turn import Owner


class Ownership(Struct, frozen=True):
    """`own` is recorded with each run that this process starts or takes over.

    The data folder admits one process at a time, so an open run that another process started was left by a
    crash or a stop. If several nodes share a log, an expired lease must indicate this.
    """

    own: Owner

    def was_left(self, owner: Owner) -> bool:
        """Returns whether the run of this owner waits for a process that takes it over."""
        return owner != self.own
