"""Telemetry queries among 2 million spans and 1 million points, while spans come in: by trace, by any attribute, newest,
trees, metrics.

One client asks, one thing after the other. Another sends 5,000 spans a second meanwhile, on the same two cores.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import telemetry_requests as requests
from benchmarks.client import Connection
from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds, percentile
from benchmarks.servers import ROOT, replaystack
from benchmarks.telemetry_requests import SPANS, SPANS_OF_A_TRACE, Sender, SpanRequests

TELEMETRY = "/v1alpha/telemetry"
SPANS_SENT = 2_000_000
POINTS_SENT = 1_000_000
QUICK_SHARE = 10
MEANWHILE_PER_S = 10
"""Requests with 512 spans each."""
LARGE_TREE = 100

TRACE_BAR_MS = 8.0
ATTRIBUTE_BAR_MS = 30.0
NEWEST_BAR_MS = 8.0
TREE_BAR_MS = 10.0
METRIC_BAR_MS = 15.0
MEMORY_BAR_MB = 1_000.0


def run(quick: bool) -> list[Result]:
    share = QUICK_SHARE if quick else 1
    sent, rounds, asks = SPANS_SENT // share // SPANS, 3, 10 if quick else 30
    with tempfile.TemporaryDirectory() as folder, replaystack(Path(folder) / "data") as server:
        _seed(server.port, sent)
        requests.all_sent(server.port, "metrics", requests.point_requests(POINTS_SENT // share))
        with Connection(server.port, 120.0) as connection:
            tree = _large_tree(server.port)
            _settled(connection, sent * SPANS)
            quiet = _measured(connection, sent * SPANS, tree, rounds, asks, "")
            with _coming_in(server.port, sent + 10_000):
                busy = _measured(connection, sent * SPANS, tree, rounds, asks, ", while spans come in")
        return [*busy, *quiet, Result("memory of the server", server.memory_mb(), "MB", MEMORY_BAR_MB)]


def _seed(port: int, count: int) -> None:
    made, sender = SpanRequests(), Sender(port)
    for number in range(count):
        sender.send("traces", made.request(number))
    sender.close()


def _large_tree(port: int) -> str:
    """Sends a trace of 100 spans; returns the id of its root."""
    from tests.telemetry.otlp_requests import PlainSpan, trace_request

    first = 2**60
    spans = [
        PlainSpan(
            trace=2**100 + 5,
            span=first + number,
            parent=first + (number - 1) // 3 if number else None,
            name=f"step {number}",
            start_ns=requests.FIRST_NS + number * 1_000,
            attributes={"number": number, "of the tree": True, "text": "a few words of text"},
        )
        for number in range(LARGE_TREE)
    ]
    Sender(port).send("traces", trace_request(spans))
    return spans[0].span_id


def _settled(connection: Connection, spans: int) -> None:
    """Waits until what was sent is where it stays, and checks that it is there."""
    last = requests.trace_id((spans - 1) // SPANS_OF_A_TRACE)
    connection.get(f"{TELEMETRY}/traces/{last}")
    time.sleep(3.0)  # Less than the server keeps a connection that is at rest.


def _measured(
    connection: Connection, spans: int, tree: str, rounds: int, asks: int, when: str
) -> list[Result]:
    traces = spans // SPANS_OF_A_TRACE
    window_s = requests.FIRST_NS // 10**9 // 60 * 60 + 600

    def ask(number: int) -> tuple[str, Any]:
        return f"{TELEMETRY}/traces/{requests.trace_id(number * 7919 % traces)}", None

    def spans_with(key: str, value: Callable[[int], Any]) -> Callable[[int], tuple[str, Any]]:
        def made(number: int) -> tuple[str, Any]:
            one = {"key": key, "op": "eq", "value": value(number * 104_729 % spans)}
            return f"{TELEMETRY}/spans", {"attribute_filters": [one], "attributes_to_return": []}

        return made

    def metric(number: int) -> tuple[str, Any]:
        body = {
            "query_type": "range",
            "start_time": window_s + number * 60,
            "end_time": window_s + number * 60 + 3_599,
            "granularity": "1m",
        }
        return f"{TELEMETRY}/metrics/{requests.metric_name(number % 10)}", body

    questions: list[tuple[str, Callable[[int], tuple[str, Any]], float, Callable[[Any], bool]]] = [
        ("trace by id", ask, TRACE_BAR_MS, lambda found: "root_span_id" in found),
        (
            "spans by an attribute that about 20 have",
            spans_with("user.id", requests.user_of),
            ATTRIBUTE_BAR_MS,
            lambda found: 1 <= len(found["data"]) <= 60,
        ),
        (
            "spans by an attribute that a trace has",
            spans_with("turn_id", lambda span: f"turn-{span // SPANS_OF_A_TRACE:08}"),
            ATTRIBUTE_BAR_MS,
            lambda found: len(found["data"]) == SPANS_OF_A_TRACE,
        ),
        (
            "newest 50 traces",
            lambda _: (f"{TELEMETRY}/traces", {"limit": 50}),
            NEWEST_BAR_MS,
            lambda found: len(found["data"]) == 50,
        ),
        (
            "span tree of 100 spans",
            lambda _: (f"{TELEMETRY}/spans/{tree}/tree", {}),
            TREE_BAR_MS,
            lambda found: len(found["data"]) == LARGE_TREE,
        ),
        (
            "metric of 10 series, 1 h at 1 min",
            metric,
            METRIC_BAR_MS,
            lambda found: len(found["data"]) == 10 and len(found["data"][0]["values"]) == 60,
        ),
    ]
    return [
        of_rounds(
            f"{name}{when}, p50",
            [_p50(connection, question, check, asks, turn * asks) for turn in range(rounds)],
            "ms",
            bar,
        )
        for name, question, bar, check in questions
    ]


def _p50(
    connection: Connection,
    question: Callable[[int], tuple[str, Any]],
    check: Callable[[Any], bool],
    asks: int,
    first: int,
) -> float:
    took = []
    for number in range(first, first + asks):
        path, body = question(number)
        answer = connection.get(path) if body is None else connection.post(path, body)
        took.append(answer.took_ms)
        if not check(msgspec.json.decode(answer.body)):
            raise RuntimeError(f"{path} {body}: {answer.body[:300]!r}")
    return percentile(took, 0.5)


@contextmanager
def _coming_in(port: int, first: int) -> Iterator[None]:
    """Spans come in from a process of its own while the block runs."""
    command = [sys.executable, "-m", "benchmarks.bench_telemetry_query", "--send", str(port), str(first)]
    with subprocess.Popen(command, cwd=ROOT) as process:
        time.sleep(2.0)
        try:
            yield
            if process.poll() is not None:
                raise RuntimeError("Sending has ended before its time.")
        finally:
            process.terminate()


def _send_on(port: int, first: int) -> None:
    made, sender = SpanRequests(), Sender(port)
    began = time.monotonic()
    for number in range(10**9):
        time.sleep(max(0.0, began + number / MEANWHILE_PER_S - time.monotonic()))
        sender.send("traces", made.request(first + number))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--send"]:
        _send_on(int(sys.argv[2]), int(sys.argv[3]))
    else:
        standalone(run, "telemetry_query", __doc__)
