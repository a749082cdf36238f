"""Jaeger's query API among 1 million spans of three services: each request that Grafana sends, one after the other, by one
client. There are no bars: the figures are for comparison with each other and with `telemetry_query`."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import msgspec

from benchmarks import telemetry_requests as requests
from benchmarks.client import Connection
from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds, percentile
from benchmarks.servers import replaystack
from benchmarks.telemetry_requests import (
    FIRST_NS,
    SPAN_STEP_NS,
    SPANS,
    SPANS_OF_A_TRACE,
    Sender,
    SpanRequests,
)

API = "/jaeger/api"
SPANS_SENT = 1_000_000
QUICK_SHARE = 10
SERVICES = ("gateway", "agent", "tools")
MINUTE_US = 60_000_000

Question = Callable[[int], str]


def run(quick: bool) -> list[Result]:
    count = SPANS_SENT // (QUICK_SHARE if quick else 1) // SPANS * SPANS
    rounds, asks = 3, 10 if quick else 30
    with tempfile.TemporaryDirectory() as folder, replaystack(Path(folder) / "data") as server:
        made, sender = SpanRequests(services=SERVICES), Sender(server.port)
        for number in range(count // SPANS):
            sender.send("traces", made.request(number))
        sender.close()
        with Connection(server.port, 120.0) as connection:
            connection.get(f"{API}/traces/{requests.trace_id(count // SPANS_OF_A_TRACE - 1)}")
            time.sleep(3.0)  # Less than the server keeps a connection that is at rest.
            return [
                of_rounds(
                    f"{name}, p50",
                    [_p50(connection, question, answers, asks, turn * asks) for turn in range(rounds)],
                    "ms",
                )
                for name, question, answers in _questions(count)
            ]


def _questions(count: int) -> list[tuple[str, Question, int]]:
    """Returns the name of each question, its path, and the number of its answers."""
    traces = count // SPANS_OF_A_TRACE
    end_us = (FIRST_NS + count * SPAN_STEP_NS) // 1_000

    def search(**conditions: str) -> Question:
        asked = {"end": end_us, "limit": 20, "start": end_us - MINUTE_US, **conditions}
        return lambda _: f"/traces?{urlencode(asked)}"

    tags = json.dumps({"http.response.status_code": "500", "cached": "true"})
    dependencies = urlencode({"endTs": end_us // 1_000, "lookback": MINUTE_US // 1_000})
    return [
        ("services", lambda _: "/services", len(SERVICES)),
        ("operations of a service", lambda _: "/services/tools/operations", 4),
        ("trace by id", lambda number: f"/traces/{requests.trace_id(number * 7919 % traces)}", 1),
        ("newest 20 traces of a service", search(service="agent"), 20),
        ("newest 20 traces with an operation", search(service="tools", operation="GET /stock"), 20),
        ("newest 20 traces with two tags", search(service="tools", tags=tags), 20),
        ("newest 20 traces with an error", search(service="tools", tags='{"error":"true"}'), 20),
        ("no trace of such a duration", search(service="tools", minDuration="1h"), 0),
        ("calls between services", lambda _: f"/dependencies?{dependencies}", 3),
    ]


def _p50(connection: Connection, question: Question, answers: int, asks: int, first: int) -> float:
    took = []
    for number in range(first, first + asks):
        answer = connection.get(API + question(number))
        took.append(answer.took_ms)
        if len(msgspec.json.decode(answer.body)["data"]) != answers:
            raise RuntimeError(f"{question(number)}: {answer.body[:300]!r}")
    return percentile(took, 0.5)


if __name__ == "__main__":
    standalone(run, "jaeger", __doc__)
