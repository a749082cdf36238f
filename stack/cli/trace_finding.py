"""Finds a trace by its id or the beginning of one."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from stack.cli.connection import Connection
from stack.errors import Invalid, NotFound

TRACES = "/v1alpha/telemetry/traces"
SHOWN = 5


def whole_id(server: Connection, beginning: str) -> str:
    """The id of the one trace that begins so. Raises Invalid, NotFound."""
    text = beginning.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{1,32}", text):
        raise Invalid(
            f"{beginning[:60]!r} is no trace id: that is 32 hexadecimal digits, or the first of them."
        )
    if len(text) == 32:
        return text
    filters = [
        {"key": "trace_id", "op": "gt", "value": text},
        # Behind everything that begins so.
        {"key": "trace_id", "op": "lt", "value": text + "g"},
    ]
    found = server.ask("POST", TRACES, {"attribute_filters": filters, "limit": SHOWN + 1})["data"]
    if not found:
        raise NotFound(f"No trace begins with {text}. `replaystack traces` lists the newest.")
    if len(found) > 1:
        ids = ", ".join(trace["trace_id"] for trace in found[:SHOWN])
        more = " and others" if len(found) > SHOWN else ""
        raise Invalid(f"Several traces begin with {text}: {ids}{more}. Give more of the id.")
    return str(found[0]["trace_id"])


def spans_of(server: Connection, trace_id: str) -> tuple[list[dict[str, Any]], bool]:
    """The spans of a trace, and whether there are more than were sent. Raises AnswerError."""
    headers, content = server.fetch(f"{TRACES}/{trace_id}/spans")
    return msgspec.json.decode(content)["data"], headers.get("x-truncated") == "true"
