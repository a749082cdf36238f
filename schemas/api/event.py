"""The events of the log (not part of the Llama Stack specification)."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class LogEvent(Struct, frozen=True, omit_defaults=True):
    """An event of the log. `name` has no schema version. `event` is its content in the present form: strings above 256 KiB
    are `{"$blob": <sha256>, "bytes": <n>}`. It is absent if the content was `deleted`, or if it cannot be read, as
    `damage` says."""

    position: int
    stream: str
    version: int
    name: str
    recorded_at: str
    event: dict[str, Any] | None = None
    deleted: bool = False
    damage: str = ""


class LogEventPage(Struct, frozen=True):
    """Events in the order of the log. `next` is the position through which the log was read for this page: continue
    after it. `has_more` says whether more events follow, or are still to be looked for. `head` is the last position of
    the log."""

    data: list[LogEvent]
    next: int
    has_more: bool
    head: int
