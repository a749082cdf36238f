"""Telemetry comes in: spans a second over every way until they can be asked for, how long an acknowledgement takes,
and what the server's other work and its memory notice of it.

Spans are sent by a process of its own (see `span_load`), on the same two cores.
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec

from benchmarks.api import new_agent, new_session, streamed_turn
from benchmarks.bench_create_list import AGENTS_BEFORE, Creating
from benchmarks.client import Connection
from benchmarks.load import concurrently
from benchmarks.probed_server import Sample
from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds, percentile
from benchmarks.seeding import seed
from benchmarks.servers import Server, model_server, replaystack
from benchmarks.span_load import CONNECTIONS, Sent, Way, span_load
from benchmarks.telemetry_requests import SPANS, SPANS_OF_A_TRACE, mixed, trace_id

SPANS_SENT = 2_000_000
SPANS_SENT_OTHERWISE = 500_000
"""Number of spans sent over each of the other protocols."""
QUICK_SHARE = 8
HALF_LOAD_PER_S = 20_000
SETTLING_S = 5.0
"""Pause in seconds between full and half load, so that work left by the full load does not count for the half
load."""
TRACES_LOOKED_AT = 200
WINDOWS = 10
TURN_CLIENTS, CREATE_CLIENTS = 1, 8
"""Numbers of clients of the other work, as in the benchmarks of these."""

PROTOBUF_BAR_PER_S = 40_000.0
JSON_BAR_PER_S = 40_000.0
GRPC_BAR_PER_S = 30_000.0
ACKNOWLEDGED_BAR_MS = 50.0
LAG_BAR_MS = 15.0
MEMORY_BAR_MB = 1_000.0
RATIO_BAR = 2.0


def run(quick: bool) -> list[Result]:
    share = QUICK_SHARE if quick else 1
    return [
        *_sustained(SPANS_SENT // share, half_load_s=5.0 if quick else 20.0),
        *_otherwise("json", SPANS_SENT_OTHERWISE // share, JSON_BAR_PER_S),
        *_otherwise("grpc", SPANS_SENT_OTHERWISE // share, GRPC_BAR_PER_S),
        *_while_spans_arrive(rounds=3 if quick else 9, each=100),
    ]


def _sustained(spans: int, half_load_s: float) -> list[Result]:
    """Protobuf over HTTP as fast as it goes, then at half the load behind that."""
    with tempfile.TemporaryDirectory() as folder:
        lag_file = Path(folder) / "lag.json"
        with replaystack(Path(folder) / "data", lag_file=lag_file) as server:
            with _watched_memory(server) as memory_mb:
                full = _ingested(server, server.port, "protobuf", spans)
                memory_mb.append(server.memory_mb())
            time.sleep(SETTLING_S)
            with span_load(server.port, "protobuf", full.requests, spans_per_s=HALF_LOAD_PER_S) as load:
                load.begin()
                time.sleep(half_load_s)
                half = load.stop()
        samples = msgspec.json.decode(lag_file.read_bytes(), type=list[Sample])
    lags = [lag_ms for at, lag_ms in samples if full.began_s <= at < full.ended_s]
    took_ms = [one.took_ms for one in half.requests]
    at_half_load = f"at {HALF_LOAD_PER_S:,} spans a second, {spans:,} spans before"
    return [
        full.rate("HTTP protobuf", PROTOBUF_BAR_PER_S),
        Result("event-loop lag at full ingest, p99", percentile(lags, 0.99), "ms", LAG_BAR_MS),
        Result("event-loop lag at full ingest, worst", max(lags), "ms"),
        Result(
            f"memory of the server and its processes at {spans:,} spans", memory_mb[-1], "MB", MEMORY_BAR_MB
        ),
        Result("memory of them until then, most", max(memory_mb), "MB", MEMORY_BAR_MB),
        Result("acknowledgement at full ingest, p50", percentile(full.took_ms, 0.5), "ms"),
        Result(f"acknowledgement {at_half_load}, p50", percentile(took_ms, 0.5), "ms"),
        Result(f"acknowledgement {at_half_load}, p99", percentile(took_ms, 0.99), "ms", ACKNOWLEDGED_BAR_MS),
        Result("spans a second then", half.spans_per_s, "1/s", better="higher"),
    ]


def _otherwise(way: Way, spans: int, bar_per_s: float) -> list[Result]:
    with tempfile.TemporaryDirectory() as folder:
        grpc_port = _free_port()
        environment = {"REPLAYSTACK_OTLP_GRPC_PORT": str(grpc_port)} if way == "grpc" else {}
        with replaystack(Path(folder) / "data", environment=environment) as server:
            port = grpc_port if way == "grpc" else server.port
            ingested = _ingested(server, port, way, spans)
    return [ingested.rate({"json": "HTTP JSON", "grpc": "gRPC"}.get(way, way), bar_per_s)]


class _Ingested(NamedTuple):
    """Requests that were sent from `began_s` on; the last spans of them could be read at `ended_s`."""

    requests: int
    began_s: float
    ended_s: float
    took_ms: list[float]
    rates: list[float]
    """Spans acknowledged a second, in windows of as many requests each."""
    put_off: int

    def rate(self, way: str, bar: float) -> Result:
        """With the slowest and the fastest window."""
        spans = self.requests * SPANS
        what = f"spans a second over {way}, durable and queryable, {spans:,} spans, {CONNECTIONS} connections"
        if self.put_off:
            what += f", {self.put_off} requests put off"
        value = spans / (self.ended_s - self.began_s)
        return Result(what, value, "1/s", bar, "higher", min(self.rates), max(self.rates))


def _ingested(server: Server, port: int, way: Way, spans: int) -> _Ingested:
    """Sends them as fast as they are taken; raises RuntimeError when they are not all there in the end."""
    requests = spans // SPANS
    with span_load(port, way, 0, requests) as load:
        load.begin()
        sent = load.sent()
        # Not before: the server closes connections that send nothing.
        with Connection(server.port, 120.0) as connection:
            _look_at(connection, requests * SPANS // SPANS_OF_A_TRACE - 1)
            ended_s = time.monotonic()
            for number in range(TRACES_LOOKED_AT):
                _look_at(connection, mixed(number) % (requests * SPANS // SPANS_OF_A_TRACE))
    return _Ingested(
        requests, sent.began_s, ended_s, [one.took_ms for one in sent.requests], _rates(sent), sent.put_off
    )


def _look_at(connection: Connection, trace: int) -> None:
    answer = connection.get(f"/v1alpha/telemetry/traces/{trace_id(trace)}/spans")
    count = answer.body.count(b'"span_id":')
    if count != SPANS_OF_A_TRACE:
        raise RuntimeError(f"Trace {trace} has {count} spans: {answer.body[:300]!r}")


def _rates(sent: Sent) -> list[float]:
    at_s = sorted([one.at_s for one in sent.requests])
    bounds = [round(number * len(at_s) / WINDOWS) for number in range(WINDOWS + 1)]
    moments = [sent.began_s, *(at_s[bound - 1] for bound in bounds[1:])]
    return [
        (last - first) * SPANS / (ended - began)
        for first, last, began, ended in zip(bounds, bounds[1:], moments, moments[1:], strict=False)
    ]


@contextlib.contextmanager
def _watched_memory(server: Server) -> Iterator[list[float]]:
    """Memory of the server in MB, four times a second while the block runs."""
    found: list[float] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.25):
            found.append(server.memory_mb())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


Work = Callable[[], list[float]]
"""Does something many times; returns how long each took, in ms."""


def _while_spans_arrive(rounds: int, each: int) -> list[Result]:
    """Turns, and creating and listing, by turns without and with spans that come in."""
    with tempfile.TemporaryDirectory() as folder, model_server() as model:
        data = Path(folder) / "data"
        seed(data, AGENTS_BEFORE, 0)
        with replaystack(data, model.base_url) as server:
            with Connection(server.port) as connection:
                agent_id = new_agent(connection)

            creating = Creating(AGENTS_BEFORE)

            def turns() -> list[float]:
                return _by_clients(server, TURN_CLIENTS, lambda one: _turns(one, agent_id, each))

            def creates() -> list[float]:
                return _by_clients(server, CREATE_CLIENTS, lambda one: creating.several(one, each))

            turned, created = (
                f"streamed turn, {TURN_CLIENTS} client",
                f"create, then list, {CREATE_CLIENTS} clients",
            )
            measured: dict[str, _Compared] = {}
            first = 0
            for what, work in ((turned, turns), (created, creates)):
                work()  # Loads what is loaded at the first time.
                measured[what] = compared = _Compared([], [], [])
                for _ in range(rounds):
                    compared.without_ms.append(work())
                    first += compared.add(server, first, work)
    return [result for what, compared in measured.items() for result in compared.results(what)]


class _Compared(NamedTuple):
    """How long things took in each round, without and with spans that came in, and how many of these there were."""

    without_ms: list[list[float]]
    with_ms: list[list[float]]
    spans_per_s: list[float]

    def add(self, server: Server, first: int, work: Work) -> int:
        """A round with spans coming in, from request `first` on. Returns how many requests that were."""
        with span_load(server.port, "protobuf", first, spans_per_s=HALF_LOAD_PER_S) as load:
            load.begin()
            time.sleep(1.0)
            self.with_ms.append(work())
            sent = load.stop()
        self.spans_per_s.append(sent.spans_per_s)
        return len(sent.requests)

    def results(self, what: str) -> list[Result]:
        without = [percentile(took_ms, 0.99) for took_ms in self.without_ms]
        with_spans = [percentile(took_ms, 0.99) for took_ms in self.with_ms]
        ratios = [one / other for one, other in zip(with_spans, without, strict=True)]
        ratio = median(with_spans) / median(without)
        rate = f"{median(self.spans_per_s):,.0f}"
        return [
            Result(
                f"{what}: p99 while {rate} spans a second come in, as a multiple of that without",
                ratio,
                "x",
                RATIO_BAR,
                "lower",
                min(ratios),
                max(ratios),
            ),
            of_rounds(f"{what}: p99 while spans come in", with_spans, "ms"),
            of_rounds(f"{what}: p99 without", without, "ms"),
        ]


def _by_clients(server: Server, clients: int, work: Callable[[Connection], list[float]]) -> list[float]:
    took_ms, _ = concurrently(server.port, clients, lambda connection, _: work(connection))
    return [one_ms for client_ms in took_ms for one_ms in client_ms]


def _turns(connection: Connection, agent_id: str, count: int) -> list[float]:
    took_ms = []
    for number in range(count):
        if number % 10 == 0:
            path = new_session(connection, agent_id)
        took_ms.append(streamed_turn(connection, path).whole_ms)
    return took_ms


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


if __name__ == "__main__":
    standalone(run, "telemetry_ingest", __doc__)
