"""Traces, spans and metrics with llama-stack-client of both series."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.interpreters import clients
from tests.server.process import Replaystack
from tests.server.telemetry import Telemetry
from tests.server.telemetry_samples import new_id, text_of
from tests.telemetry.otlp_metrics import PlainPoint, metrics_request
from tests.telemetry.otlp_requests import BASE_NS, PlainSpan

METRIC = "clients.tokens"
BASE_S = BASE_NS // 10**9 // 60 * 60


@pytest.fixture(scope="module")
def spans(server: Replaystack) -> list[PlainSpan]:
    """A chain of three, the last one failed."""
    trace, first = new_id(128), new_id()
    found = [
        PlainSpan(
            trace=trace,
            span=first + number,
            parent=first + number - 1 if number else None,
            name=f"step {number}",
            status=2 if number == 2 else 0,
            start_ns=BASE_NS + number * 1_000,
            end_ns=BASE_NS + 1_000_000,
            attributes={"of clients": True, "number": number, "list": [1, "a"]},
        )
        for number in range(3)
    ]
    points = [
        PlainPoint(
            metric=METRIC,
            kind="sum",
            temporality="delta",
            value=value,
            time_ns=(BASE_S + when) * 10**9,
            labels={"model": model},
        )
        for when, value, model in [(1, 5, "a"), (2, 6, "a"), (61, 7, "a"), (1, 8, "c")]
    ]
    with server.http() as http:
        Telemetry(http).send(found)
        Telemetry(http).send_raw("metrics", metrics_request(points))
    return found


@pytest.fixture(scope="module", params=[*clients("0.2"), *clients("0.3")], ids=lambda client: client.version)
def found(request: pytest.FixtureRequest, server: Replaystack, spans: list[PlainSpan]) -> dict[str, Any]:
    sent = {
        "trace_id": spans[0].trace_id,
        "root": spans[0].span_id,
        "leaf": spans[2].span_id,
        "metric": METRIC,
        "start_time": BASE_S,
    }
    findings: dict[str, Any] = request.param.run("telemetry", server.url, sent)
    return findings


def test_traces(found: dict[str, Any], spans: list[PlainSpan]) -> None:
    assert found["traces"] == [spans[0].trace_id]
    start = text_of(BASE_NS).replace(".000000Z", "+00:00")
    assert found["trace"] == [spans[0].span_id, start, "0:00:00.001000"]


def test_spans(found: dict[str, Any], spans: list[PlainSpan]) -> None:
    attributes = {"of clients": True, "number": 2, "list": [1, "a"]}
    assert found["span"] == ["step 2", spans[1].span_id, attributes]
    assert found["spans"] == [[span.span_id, {"number": number}] for number, span in enumerate(spans)][::-1]


def test_trees(found: dict[str, Any], spans: list[PlainSpan]) -> None:
    assert found["tree"] == {
        spans[0].span_id: ["ok", {"number": 0}],
        spans[1].span_id: ["ok", {"number": 1}],
    }
    assert found["whole"] == [span.span_id for span in spans]


def test_exports(found: dict[str, Any]) -> None:
    assert found["rows"] == [0, 1, 2]


def test_metrics(found: dict[str, Any]) -> None:
    """Older clients have no call for them."""
    assert found.get("metric", [[{"model": "a"}, [11, 7]]]) == [[{"model": "a"}, [11, 7]]]


def test_what_is_not_there_or_not_right(found: dict[str, Any]) -> None:
    assert found["unknown"] == [404, 404, 404]
    assert found["refused"] == 400
