"""What every event carries beside its own payload."""

from __future__ import annotations

from msgspec import Struct


class Event(Struct, frozen=True, omit_defaults=True, kw_only=True, tag_field="event"):
    """`actor` is the name of the caller's API key (empty without keys), `trace_id` 32 hex digits of the trace
    in which the event was caused (empty where there was none)."""

    actor: str = ""
    trace_id: str = ""


class Redacted(Event, frozen=True, tag="redacted"):
    """Stands where an event's content was physically removed. Name, position and version stay in the log."""


class Unknown(Event, frozen=True, tag="unknown"):
    """Stands for an event whose name this version does not know. A reader skips it."""
