"""Decodes the log records of a request to rows."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from projections.telemetry_columns import LOGS
from projections.warehouse.column_batch import Batch
from telemetry.wire.attribute_json import joined
from telemetry.wire.decoded import MAX_TIME_NS, Decoded, Origin, Origins, Rejections
from telemetry.wire.form import Form
from telemetry.wire.row_columns import RowColumns
from telemetry.wire.row_limit import RowLimit

_LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
SEVERITIES = (
    "SEVERITY_NUMBER_UNSPECIFIED",
    *(f"SEVERITY_NUMBER_{level}{number}" for level in _LEVELS for number in ("", 2, 3, 4)),
)
_FIELDS = attrgetter(
    "trace_id",
    "span_id",
    "time_unix_nano",
    "observed_time_unix_nano",
    "severity_number",
    "severity_text",
    "event_name",
    "body",
    "attributes",
    "dropped_attributes_count",
    "flags",
)
_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)
Records = tuple[Sequence[Any], ...]


def decode(form: Form, request: Any) -> Decoded:
    """Decodes a request in the given form. Raises Malformed, TooLarge."""
    origins, rejections, limit = Origins(form), Rejections(), RowLimit()
    rows = _Rows(form)
    for of_resource in request.resource_logs or ():
        origin = Origin(origins, of_resource)
        for of_scope in of_resource.scope_logs or ():
            for some in limit.slices(of_scope.log_records):
                records = _checked(form, tuple(zip(*map(_FIELDS, some), strict=True)), rejections)
                if records[0]:
                    rows.add(records, *origin.ids(of_scope))
    batches = origins.batches()
    if rows.count:
        batches["logs"] = rows.batch()
    return Decoded(rows.count, rejections.count, rejections.reason, batches)


def _checked(form: Form, records: Records, rejections: Rejections) -> Records:
    """Returns the records with ids and times in their stored form, without those with invalid ids or
    times."""
    traces, spans = form.ids(records[0]), form.ids(records[1])
    times, observed = form.numbers(records[2]), form.numbers(records[3])
    checked = (traces, spans, times, observed, *records[4:])
    kept = []
    for row, record in enumerate(zip(*checked[:4], strict=True)):
        problem = _problem(*record)
        if problem:
            rejections.add(problem)
        else:
            kept.append(row)
    if len(kept) == len(traces):
        return checked
    return tuple([column[row] for row in kept] for column in checked)


def _problem(trace: bytes, span: bytes, time_ns: int, observed_ns: int) -> str:
    if len(trace) not in (0, 16):
        return "a trace id is not 16 bytes"
    if len(span) not in (0, 8):
        return "a span id is not 8 bytes"
    if not (0 <= time_ns <= MAX_TIME_NS and 0 <= observed_ns <= MAX_TIME_NS):
        return "a time is not between 1970 and 2262"
    return ""


class _Rows:
    def __init__(self, form: Form) -> None:
        self.count = 0
        self._form = form
        self._rows = RowColumns(LOGS)

    def add(self, records: Records, resource_id: int, scope_id: int) -> None:
        traces, spans, times, observed, severities, severity_texts, event_names, bodies = records[:8]
        attributes, dropped, flags = records[8:]
        form, add = self._form, self._rows.add
        add("trace_id", [trace or _NO_TRACE for trace in traces])
        add("span_id", [span or _NO_SPAN for span in spans])
        add("time_ns", times)
        add("observed_ns", observed)
        add("severity", form.enums(severities, SEVERITIES))
        add("severity_text", [(text or "").encode() for text in severity_texts])
        add("event_name", [(name or "").encode() for name in event_names])
        add("body", form.bodies(bodies))
        add("attributes", [joined(form.fragments(own)) for own in attributes])
        add("dropped_attributes", form.counts(dropped))
        add("flags", form.counts(flags))
        add("resource_id", [resource_id] * len(traces))
        add("scope_id", [scope_id] * len(traces))
        self.count += len(traces)

    def batch(self) -> Batch:
        return self._rows.batch()
