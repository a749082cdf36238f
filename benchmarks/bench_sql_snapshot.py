"""SQL over all of 2 million spans while 5,000 a second come in: the first answer after something was written, the next one
on the same snapshot while nothing comes in, and how long snapshots hold up the writer of the tables.

Each first answer is checked: it has all spans that were acknowledged before it was asked for. `--spans N` measures
among another number of spans.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import msgspec

from benchmarks import telemetry_requests as requests
from benchmarks.client import Connection
from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds, percentile
from benchmarks.servers import ROOT, replaystack
from benchmarks.telemetry_requests import SPANS, SPANS_OF_A_TRACE, Sender, SpanRequests

SPANS_SENT = 2_000_000
QUICK_SHARE = 10
ALL_SPANS = "SELECT request_model, count(*), sum(input_tokens) FROM spans GROUP BY ALL"
MARK = 10_000_000
"""The number of the first request that is sent to be found."""

FIRST_BAR_MS = 500.0
NEXT_BAR_MS = 50.0
WRITER_BAR_MS = 20.0


def run(quick: bool, spans: int = SPANS_SENT) -> list[Result]:
    sent, rounds = spans // (QUICK_SHARE if quick else 1) // SPANS, 3 if quick else 5
    with tempfile.TemporaryDirectory() as folder, replaystack(Path(folder) / "data") as server:
        made, sender = SpanRequests(), Sender(server.port)
        for number in range(sent):
            _seed(sender, made.request(number))
        sql = HTTPConnection("127.0.0.1", server.port, timeout=120.0)
        with Connection(server.port, 120.0) as connection, closing(sql):
            _await_trace(connection, sent - 1)
            _settled(server.cpu_s)
            with _coming_in(server.port, sent) as arriving:
                alone = _writes(server.port, MARK, lambda: time.sleep(2.0 * rounds))
                firsts: list[float] = []

                def ask() -> None:
                    for number in range(rounds):
                        firsts.append(_first(sql, sender, made, MARK * 3 + number))
                        time.sleep(1.0)

                meanwhile = _writes(server.port, MARK * 2, ask)
                # Otherwise the next query would need a snapshot of its own.
                arriving.send_signal(signal.SIGSTOP)
                _asked(sql, ALL_SPANS)
                nexts = [_asked(sql, ALL_SPANS)[0] for _ in range(rounds)]
                arriving.send_signal(signal.SIGCONT)
        sender.close()
    return [
        of_rounds("first answer over all spans after a write", firsts, "ms", FIRST_BAR_MS),
        of_rounds("next answer over all spans", nexts, "ms", NEXT_BAR_MS),
        Result(
            "a write that can be read is later by, with SQL, p50",
            max(0.0, percentile(meanwhile, 0.5) - percentile(alone, 0.5)),
            "ms",
            WRITER_BAR_MS,
        ),
        Result("write until it can be read, without SQL, p50", percentile(alone, 0.5), "ms"),
        Result("longest write until it can be read, without SQL", max(alone), "ms"),
        Result("longest write until it can be read, with SQL", max(meanwhile), "ms"),
    ]


def _seed(sender: Sender, request: bytes) -> None:
    """Sends a request again if the server is still busy with earlier ones."""
    while True:
        try:
            return sender.send("traces", request)
        except RuntimeError as error:
            if "503" not in str(error):
                raise
        time.sleep(1.0)


def _first(sql: HTTPConnection, sender: Sender, made: SpanRequests, number: int) -> float:
    """Sends a request, then asks for all spans; the answer has those of the request."""
    _, rows = _asked(sql, "SELECT count(*) FROM spans")
    sender.send("traces", made.request(number))
    took_ms, answer = _asked(sql, ALL_SPANS)
    counted = sum(int(row[1]) for row in answer)
    if counted < int(rows[0][0]) + SPANS:
        raise RuntimeError(f"The answer has {counted} spans, fewer than were acknowledged.")
    return took_ms


def _asked(sql: HTTPConnection, query: str) -> tuple[float, list[list[str]]]:
    """Returns how long the answer took, in ms, and its rows."""
    began = time.perf_counter()
    sql.request("POST", "/v1alpha/sql", msgspec.json.encode({"query": query}))
    answer = sql.getresponse()
    body = answer.read()
    took_ms = (time.perf_counter() - began) * 1e3
    if answer.status != 200:
        raise RuntimeError(f"{query}: {body[:300]!r}")
    rows: list[list[str]] = msgspec.json.decode(body)["rows"]
    return took_ms, rows


def _writes(port: int, first: int, meanwhile: Callable[[], None]) -> list[float]:
    """Sends requests while `meanwhile` runs; returns how long each took to be read, in ms: the writer of the tables has
    applied it by then."""
    took: list[float] = []
    ended = threading.Event()

    def write() -> None:
        made, sender = SpanRequests(), Sender(port)
        with Connection(port, 120.0) as connection:
            while not ended.is_set():
                number = first + len(took)
                request = made.request(number)
                began = time.perf_counter()
                sender.send("traces", request)
                _await_trace(connection, number)
                took.append((time.perf_counter() - began) * 1e3)
                time.sleep(0.02)
        sender.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        meanwhile()
    finally:
        ended.set()
        thread.join()
    return took


def _await_trace(connection: Connection, number: int) -> None:
    """Reads a trace of a request, for which the server waits until it is in the tables."""
    last = requests.trace_id((number + 1) * SPANS // SPANS_OF_A_TRACE - 1)
    connection.get(f"/v1alpha/telemetry/traces/{last}")


def _settled(cpu_s: Callable[[], float]) -> None:
    """Waits until the server has moved and merged what it was sent."""
    before = -1.0
    while cpu_s() - before > 0.1:
        before = cpu_s()
        time.sleep(2.0)


@contextmanager
def _coming_in(port: int, first: int) -> Iterator[subprocess.Popen[bytes]]:
    """Spans come in from a process of its own while the block runs."""
    command = [sys.executable, "-m", "benchmarks.bench_telemetry_query", "--send", str(port), str(first)]
    with subprocess.Popen(command, cwd=ROOT) as process:
        time.sleep(2.0)
        try:
            yield process
            if process.poll() is not None:
                raise RuntimeError("Sending has ended before its time.")
        finally:
            os.kill(process.pid, signal.SIGCONT)
            process.terminate()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--spans"]:
        spans = int(sys.argv[2])
        del sys.argv[1:3]
        standalone(lambda quick: run(quick, spans), "sql_snapshot", __doc__)
    else:
        standalone(run, "sql_snapshot", __doc__)
