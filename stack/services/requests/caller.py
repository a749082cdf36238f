"""The caller and the trace of a request: what every event records about its cause."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from schemas.events.base import Event


class Caller(Struct, frozen=True):
    """`actor` is the name of the API key that was used; `traceparent` and `tracestate` continue the request's
    trace."""

    actor: str = ""
    trace_id: str = ""
    traceparent: str = ""
    tracestate: str = ""

    def stamp(self, events: Sequence[Event]) -> list[Event]:
        return [replace(event, actor=self.actor, trace_id=self.trace_id) for event in events]


SYSTEM = Caller(actor="replaystack")
"""The server itself: restarts after a crash, and deletions that follow from a deletion."""
