"""The spans of a trace in columns, without their attributes."""

from __future__ import annotations

from uuid import UUID

from projections import traces
from projections.span_search import RECENT, STORED
from projections.warehouse.reader import rfc3339
from projections.warehouse.snapshot import Snapshot
from schemas.api.waterfall import Waterfall

MAX_SPANS = 100_000
_ERROR = 2
_COLUMNS = """s.span_id, s.parent_span_id, s.name, s.resource_id, s.operation_name,
    coalesce(s.tool_name, s.response_model, s.request_model, s.agent_name), s.kind, s.status, s.start_ns,
    s.end_ns, s.input_tokens, s.output_tokens"""
_SPANS = f"""SELECT {_COLUMNS} FROM {RECENT} AS s WHERE s.trace_id = $trace
UNION ALL SELECT {_COLUMNS} FROM {STORED} AS s WHERE s.trace_id = $trace
ORDER BY start_ns, span_id"""


class _Texts:
    """Each different text once."""

    def __init__(self) -> None:
        self.all: dict[str, int] = {}

    def index(self, text: str | None) -> int:
        return self.all.setdefault(text or "", len(self.all))


def waterfall(snapshot: Snapshot, trace: UUID) -> Waterfall | None:
    """Returns None if the trace does not exist."""
    # A literal limit: with a parameter the database would sort all rows.
    rows = snapshot.rows(f"{_SPANS} LIMIT {MAX_SPANS + 1:d}", {"trace": trace})
    if not rows:
        return None
    left_out = 0
    if len(rows) > MAX_SPANS:
        rows = rows[:MAX_SPANS]
        known = traces.one(snapshot, trace)
        left_out = max(1, known.span_count - MAX_SPANS if known else 0)
    start_ns = rows[0][8]
    services = traces.services(snapshot, {row[3] for row in rows})
    places: dict[int, int] = {}
    for place, row in enumerate(rows):
        places.setdefault(row[0], place)
    texts = _Texts()
    return Waterfall(
        trace_id=trace.hex,
        start_time=rfc3339(start_ns // 1000),
        span_ids=[f"{row[0]:016x}" for row in rows],
        parents=[-1 if row[1] is None else places.get(row[1], -1) for row in rows],
        names=[texts.index(row[2]) for row in rows],
        services=[texts.index(services.get(row[3])) for row in rows],
        operations=[texts.index(row[4]) for row in rows],
        subjects=[texts.index(row[5]) for row in rows],
        kinds=[row[6] for row in rows],
        is_error=[row[7] == _ERROR for row in rows],
        start_us=[(row[8] - start_ns) // 1000 for row in rows],
        duration_us=[-1 if row[9] is None else (row[9] - row[8]) // 1000 for row in rows],
        tokens=[-1 if row[10] is row[11] is None else (row[10] or 0) + (row[11] or 0) for row in rows],
        texts=[*texts.all],
        truncated=left_out,
    )
