"""A trace in columns: the same spans as elsewhere, any parents, texts once."""

from __future__ import annotations

from typing import Any

from tests.server.api import check_error
from tests.server.telemetry import Telemetry
from tests.server.telemetry_samples import family, new_id, text_of
from tests.telemetry.otlp_requests import PlainSpan


def columns(telemetry: Telemetry, trace_id: str) -> dict[str, Any]:
    answer = telemetry.get(f"traces/{trace_id}/waterfall")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def rows(found: dict[str, Any]) -> list[dict[str, Any]]:
    lists = {key: value for key, value in found.items() if isinstance(value, list) and key != "texts"}
    assert len({len(one) for one in lists.values()}) == 1
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


def test_it_has_the_spans_of_the_trace(telemetry: Telemetry) -> None:
    spans = family("waterfall", more="x")
    telemetry.send(spans[::-1])
    found = columns(telemetry, spans[0].trace_id)
    assert found["start_time"] == text_of(spans[0].start_ns)
    named = [found["texts"][row["names"]] for row in rows(found)]
    assert named == [span.name for span in spans]
    assert len(set(found["texts"])) == len(found["texts"])
    shown = {row["span_ids"]: row for row in rows(found)}
    ids = [span.span_id for span in spans]
    assert [found["parents"][ids.index(one)] for one in ids] == [-1, 0, 0, 1, 1]
    for span in spans:
        row = shown[span.span_id]
        assert row["start_us"] == (span.start_ns - spans[0].start_ns) // 1000
        assert row["duration_us"] == (span.end_ns - span.start_ns) // 1000
    assert [row["is_error"] for row in rows(found)] == [False] * 4 + [True]
    assert "truncated" not in found


def test_any_parents_are_answered(telemetry: Telemetry) -> None:
    trace, (a, b, c) = new_id(128), (new_id() for _ in range(3))
    spans = [
        PlainSpan(trace=trace, span=a, parent=b, name="a"),
        PlainSpan(trace=trace, span=b, parent=a, name="b"),
        PlainSpan(trace=trace, span=c, parent=new_id(), name="c"),
    ]
    telemetry.send(spans)
    found = columns(telemetry, spans[0].trace_id)
    places = {span_id: place for place, span_id in enumerate(found["span_ids"])}
    parents = [found["parents"][places[span.span_id]] for span in spans]
    assert parents == [places[spans[1].span_id], places[spans[0].span_id], -1]


def test_unknown_traces(telemetry: Telemetry) -> None:
    check_error(telemetry.get(f"traces/{'0' * 31}1/waterfall"), 404, "trace")
    check_error(telemetry.get("traces/xyz/waterfall"), 404, "trace")
