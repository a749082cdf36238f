"""Fields that every event has in addition to its own payload."""

from __future__ import annotations

from msgspec import Struct


class Event(Struct, frozen=True, omit_defaults=True, kw_only=True, tag_field="event"):
    """`actor` is the name of the caller's API key (empty without keys), `trace_id` the 32 hex digits of the
    trace in which the event was caused (empty without a trace). `occurred_at` is the time of an event that was copied
    from another stream or another log, in microseconds since 1970; 0 means that it occurred when it was recorded."""

    actor: str = ""
    trace_id: str = ""
    occurred_at: int = 0


class Redacted(Event, frozen=True, tag="redacted"):
    """Replaces an event whose content was physically removed. Its name, position and version stay in the
    log."""


class Unknown(Event, frozen=True, tag="unknown"):
    """Represents an event whose name this version does not know. Readers skip it."""


class Damaged(Event, frozen=True, tag="damaged"):
    """Represents an event whose stored content is damaged, for readers that can continue without it. `name` is that of
    the event without its version; `detail` says what is damaged and what to do."""

    name: str = ""
    detail: str = ""


class Erased(Struct, frozen=True, omit_defaults=True):
    """The number of events that lost their content by a deletion, and of the blobs that they named.
    `turns` and `jobs` count those that were removed with it; `agent_id` is the agent whose session was
    deleted."""

    events: int = 0
    blobs: int = 0
    turns: int = 0
    jobs: int = 0
    agent_id: str = ""


class Deletion(Event, frozen=True, kw_only=True):
    """`erased` is absent in deletions of the first version."""

    erased: Erased | None = None
