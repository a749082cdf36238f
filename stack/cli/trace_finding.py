"""Finds a trace by its id or the beginning of one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from stack.cli.connection import Connection
from stack.errors import Invalid, NotFound

TRACES = "/v1alpha/telemetry/traces"
LOGS = "/v1alpha/telemetry/logs"
SHOWN = 5
MAX_LOGS = 1_000


class Trace(NamedTuple):
    """Spans, input and output tokens, and log records of a trace; and whether the server has more of them."""

    spans: list[dict[str, Any]]
    tokens: tuple[int | None, int | None] = (None, None)
    logs: Sequence[dict[str, Any]] = ()
    more_spans: bool = False
    more_logs: bool = False


def whole_id(server: Connection, beginning: str) -> str:
    """Returns the id of the only trace with this beginning. Raises Invalid, NotFound."""
    text = beginning.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{1,32}", text):
        raise Invalid(
            f"{beginning[:60]!r} is not a trace id: a trace id is 32 hexadecimal digits, or the first of them."
        )
    if len(text) == 32:
        return text
    filters = [
        {"key": "trace_id", "op": "gt", "value": text},
        # Sorts after all ids with this beginning.
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


def trace_of(server: Connection, trace_id: str) -> Trace:
    """Fetches a trace. Raises AnswerError."""
    headers, content = server.fetch(f"{TRACES}/{trace_id}/spans")
    found = msgspec.json.decode(content)
    own = {"key": "trace_id", "op": "eq", "value": trace_id}
    logs = server.ask("POST", LOGS, {"attribute_filters": [own], "order_by": ["time"], "limit": MAX_LOGS + 1})
    tokens = (found.get("input_tokens"), found.get("output_tokens"))
    records = logs["data"]
    truncated = headers.get("x-truncated") == "true"
    return Trace(found["data"], tokens, records[:MAX_LOGS], truncated, len(records) > MAX_LOGS)
