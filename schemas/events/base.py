"""Fields that every event has in addition to its own payload."""

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


class Damaged(Event, frozen=True, tag="damaged"):
    """Stands for an event whose stored content is not what was recorded, for readers that can do without it."""


class Erased(Struct, frozen=True, omit_defaults=True):
    """What a deletion removed from the log: the content of so many events, and so many blobs that they named. `turns`
    and `jobs` count what went with it; `agent_id` is the agent whose session was deleted."""

    events: int = 0
    blobs: int = 0
    turns: int = 0
    jobs: int = 0
    agent_id: str = ""


class Deletion(Event, frozen=True, kw_only=True):
    """`erased` is absent from deletions of the first version."""

    erased: Erased | None = None
