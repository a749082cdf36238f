"""Which process drives a run."""

from __future__ import annotations

from msgspec import Struct

from schemas.events.turn import Owner


class Ownership(Struct, frozen=True):
    """`own` is recorded with each run that this process begins or takes up.

    The data folder admits one process at a time, so a run that another process began and did not end was left by a
    crash or a stop. Where several nodes share a log, a lease that has run out has to say so.
    """

    own: Owner

    def was_left(self, owner: Owner) -> bool:
        """Whether the run of this owner waits for a process that takes it up."""
        return owner != self.own
