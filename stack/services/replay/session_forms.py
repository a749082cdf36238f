"""The forms in which recorded sessions are exported and imported, by name."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from stack.errors import Invalid
from stack.services.replay.session_file import Kept, read_session_file
from stack.services.replay.session_record import SessionRecord

T = TypeVar("T")

SESSION = "session"
"""The form of `name.session.jsonl`, which is lossless. Its export is streamed: `session_export.py`."""


class Parsed(Struct, frozen=True, kw_only=True):
    """A session that was read from a file. `extra` holds what has no place in its events."""

    record: SessionRecord
    digest: str
    extra: dict[str, Any] | None = None


def _session(content: bytes) -> list[Parsed]:
    file = read_session_file(content)
    kept = msgspec.to_builtins(Kept.of(file.header))
    return [Parsed(record=file.record, digest=file.digest, extra=kept or None)]


def _format(module: str) -> Any:
    """Imports a format when it is used: together they take 50 ms, which a server need not spend at its start."""
    return import_module(f"stack.services.replay.formats.{module}")


def _read(form: str, module: str, content: bytes) -> list[Parsed]:
    from stack.services.replay.imported_session import record_of

    digest, now = hashlib.sha256(content).hexdigest(), time.time_ns() // 1000
    return [
        Parsed(record=record_of(one, form, digest, now), digest=digest, extra=dict(one.extra) or None)
        for one in _format(module).read(content)
    ]


def _write(module: str, record: SessionRecord) -> Iterable[bytes]:
    pieces: Iterable[bytes] = _format(module).export(record)
    return pieces


READERS: Mapping[str, Callable[[bytes], Sequence[Parsed]]] = {
    SESSION: _session,
    "atif": partial(_read, "atif", "atif_import"),
    "claude-code": partial(_read, "claude-code", "claude_code"),
    "codex": partial(_read, "codex", "codex"),
    "otlp": partial(_read, "otlp", "otlp_import"),
}
"""Return the sessions of a file, at least one. Raise Invalid for a file that is not of their form, TooLarge."""

WRITERS: Mapping[str, Callable[[SessionRecord], Iterable[bytes]]] = {
    "atif": partial(_write, "atif"),
    "otlp": partial(_write, "otlp"),
    "sft": partial(_write, "sft"),
}
"""Return the pieces of a file. Raise Invalid for a session that cannot be written in their form, ContentDamaged."""


def form_of(forms: Mapping[str, T], name: str, where: str) -> T:
    """Returns the form with this name. Raises Invalid; `where` is the place of the name."""
    if name not in forms:
        known = ", ".join(sorted({SESSION, *forms}))
        raise Invalid(f"{where} is {name[:40]!r}; it must be one of: {known}.")
    return forms[name]
