"""The forms in which recorded sessions are exported and imported, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct

from stack.services.replay.session_file import read_session_file
from stack.services.replay.session_record import SessionRecord

SESSION = "session"
"""The form of `name.session.jsonl`, which is lossless. Its export is streamed: `session_export.py`."""


class Parsed(Struct, frozen=True, kw_only=True):
    """A session that was read from a file. `extra` holds what has no place in its events."""

    record: SessionRecord
    digest: str
    extra: dict[str, Any] | None = None


def _session(content: bytes) -> Parsed:
    file = read_session_file(content)
    return Parsed(record=file.record, digest=file.digest)


READERS: Mapping[str, Callable[[bytes], Parsed]] = {SESSION: _session}
"""Raise Invalid for a file that is not of their form, TooLarge."""

WRITERS: Mapping[str, Callable[[SessionRecord], Iterable[bytes]]] = {}
"""Return the pieces of a file. Raise Invalid for a session that cannot be written in their form."""
