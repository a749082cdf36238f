"""Tables of the demo: the recorded events, and the rows of the read models."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.table import Table

from projections.warehouse.feed import Record
from projections.warehouse.reader import NOW, Reader

_SAID = ("input_messages.0.content", "output.content", "output_message.content")
# The interesting fields of each event, as paths into the payload.
_SHOWN = {
    "agent.created": ("config.name", "config.model"),
    "agent.updated": ("config.name", "config.model"),
    "session.created": ("session_name", "agent_id"),
    "turn.started": (_SAID[0], "owner.boot"),
    "turn.restarted": ("attempt", "owner.boot"),
    "turn.step_started": ("step_type", "attempt", "model", "request_digest"),
    "turn.step_completed": (_SAID[1], "usage.output_tokens"),
    "turn.completed": (_SAID[2],),
    "turn.failed": ("error.title", "error.detail"),
}
_TEXT_CHARACTERS = 34
# On a narrow terminal only the last column is shortened.
_WIDTHS = {
    "pos": 4,
    "recorded at": 12,
    "stream": 14,
    "v": 2,
    "event": 23,
    "change": 16,
    "turn": 6,
    "tokens": 8,
}


def events_table(records: Iterable[Record]) -> Table:
    table = _table("pos", "recorded at", "stream", "v", "event", "payload (a part)")
    for record in records:
        _, category, stream_id = record.stream.split("/", 2)
        name = record.name.rpartition(".")[0]
        state = msgspec.json.decode(record.state)
        paths = _SHOWN.get(name) or [key for key in state if key not in ("event", "trace_id")]
        found = [(path.rpartition(".")[2], _at(state, path)) for path in paths]
        table.add_row(
            str(record.position),
            _clock(record.recorded_at),
            f"{category}/{_tail(stream_id)}",
            str(record.version),
            f"[bold]{record.name}[/]" if name.startswith("turn.re") else record.name,
            ", ".join(f"[dim]{key}=[/]{_shown(key, value)}" for key, value in found if value is not None),
        )
    return table


def turn_changes_table(reader: Reader, agent_id: str, session_id: str) -> Table:
    """Returns the rows from which a session is read."""
    wanted = {"agent_id": agent_id, "session_id": session_id, "turn_ids": None, "as_of": NOW}
    table = _table("pos", "change", "turn", "recorded at", "tokens", "content")
    for row in sorted(reader.read("session_with_turns", wanted), key=lambda row: row[-1]):
        change, turn_id, _, _, recorded_us, _, event, tokens_in, tokens_out, *_, position = row
        tokens = "" if tokens_in is None or tokens_out is None else f"{tokens_in}/{tokens_out}"
        table.add_row(
            str(position), change, _tail(turn_id), _clock(recorded_us), tokens, _content(event or "")
        )
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="dim", pad_edge=False, expand=True)
    for column in columns:
        width = _WIDTHS.get(column)
        table.add_column(column, width=width, ratio=None if width else 1, no_wrap=True, overflow="ellipsis")
        table.columns[-1].justify = "right" if column in ("pos", "v", "tokens") else "left"
    return table


def _shown(key: str, value: Any) -> str:
    return _tail(str(value)) if key.endswith("_id") or key == "request_digest" else _text(value)


def _at(value: Any, path: str) -> Any:
    for key in path.split("."):
        if isinstance(value, list):
            value = value[int(key)] if int(key) < len(value) else None
        elif isinstance(value, dict):
            value = value.get(key)
    return value


def _content(event: str) -> str:
    """Returns the text of a row's event; for a session's row its name."""
    if not event.startswith("{"):
        return _text(event)
    said = [_at(msgspec.json.decode(event), path) for path in _SAID]
    return _text(next((text for text in said if isinstance(text, str)), ""))


def _text(value: Any) -> str:
    text = " ".join((value if isinstance(value, str) else msgspec.json.encode(value).decode()).split())
    text = text if len(text) <= _TEXT_CHARACTERS else text[: _TEXT_CHARACTERS - 1] + "…"
    return text.replace("[", r"\[")


def _tail(identifier: str) -> str:
    """Returns the end of an id: ids are ordered by time, so their beginnings are similar."""
    return identifier[-6:]


def _clock(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1e6, UTC).strftime("%H:%M:%S.%f")[:-3]
