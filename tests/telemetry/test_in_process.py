"""Own signals on their way into the own store; the store is a list here, whatever else is real."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from telemetry.own import external, in_process
from telemetry.own.signals import Signals
from tests.telemetry.collector import plain


class Store:
    """Keeps what it is given. While `broken` it takes nothing; while `held` it makes the exporter wait."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes]] = []
        self.broken = False
        self.refused = 0
        self.open = threading.Event()
        self.open.set()
        self.meanwhile: Callable[[], None] = lambda: None

    def submit(self, signal: str, request: bytes) -> None:
        self.open.wait(10)
        self.meanwhile()
        if self.broken:
            self.refused += 1
            raise OSError("the disk is full")
        self.requests.append((signal, request))

    def spans(self) -> list[Span]:
        return [
            span
            for signal, request in self.requests
            if signal == "traces"
            for resource in ExportTraceServiceRequest.FromString(request).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def metrics(self) -> list[Metric]:
        return [
            metric
            for signal, request in self.requests
            if signal == "metrics"
            for resource in ExportMetricsServiceRequest.FromString(request).resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]


Start = Callable[..., tuple[Signals, Store]]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    for name in (
        *external.TRACES_ENDPOINT,
        *external.METRICS_ENDPOINT,
        external.DISABLED,
        "OTEL_TRACES_SAMPLER",
        "OTEL_SEMCONV_STABILITY_OPT_IN",
    ):
        monkeypatch.delenv(name, raising=False)
    started: list[Signals] = []

    def begin(own: bool = True) -> tuple[Signals, Store]:
        signals, store = Signals("1.2.3", "instance-1", own), Store()
        signals.start(store.submit)
        started.append(signals)
        return signals, store

    yield begin
    for signals in started:
        signals.close()
        signals.shutdown()


def flush(signals: Signals, metrics: bool = True) -> None:
    asyncio.run(signals.flushed(metrics))


def call(signals: Signals, tokens: int = 3, model: str = "m") -> None:
    with signals.calls.begin("up", model, "http://127.0.0.1:8000/v1", {}) as one:
        one.answered(("stop",), response_model="m-1", input_tokens=7, output_tokens=tokens)


def test_what_has_ended_is_there_after_a_flush(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_process, "LINGER_S", 60.0)
    signals, store = start()
    with (
        signals.tracing.server_span("GET", "/x"),
        signals.tracing.span("below", attributes={"a": 1, "b": (1.5,)}),
    ):
        pass
    began = time.monotonic()
    flush(signals)
    assert time.monotonic() - began < 30, "a reader waited for the linger"
    by_name = {span.name: span for span in store.spans()}
    assert set(by_name) == {"GET", "below"}
    assert by_name["below"].parent_span_id == by_name["GET"].span_id
    assert plain(by_name["below"].attributes) == {"a": 1, "b": [1.5]}
    _, request = store.requests[0]
    resource = ExportTraceServiceRequest.FromString(request).resource_spans[0].resource
    assert plain(resource.attributes)["service.instance.id"] == "instance-1"


def test_many_come_in_few_requests_without_anybody_asking(start: Start) -> None:
    signals, store = start()
    for number in range(300):
        with signals.tracing.span(f"span {number}"):
            pass
    deadline = time.monotonic() + 60
    while len(store.spans()) < 300:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert sorted(span.name for span in store.spans()) == sorted(f"span {number}" for number in range(300))
    assert len({span.span_id for span in store.spans()}) == 300
    assert len(store.requests) <= 2


def test_what_ends_while_others_are_handed_over_waits_again(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a busy server would never come to the end of it, with a request for every few spans."""
    monkeypatch.setattr(in_process, "LINGER_S", 60.0)
    signals, store = start()

    def end(name: str) -> None:
        with signals.tracing.span(name):
            pass

    store.meanwhile = lambda: end("meanwhile")
    for number in (1, 2):
        end(f"span {number}")
        flush(signals)
        assert len(store.requests) == number
    store.meanwhile = lambda: None
    assert [span.name for span in store.spans()] == ["span 1", "meanwhile", "span 2"]


def test_nothing_is_written_where_nothing_happens(start: Start) -> None:
    signals, store = start()
    call(signals)
    flush(signals)
    count = len(store.requests)
    for _ in range(3):
        flush(signals)
    assert len(store.requests) == count == 2


def test_who_asks_for_spans_only_makes_no_points(start: Start) -> None:
    signals, store = start()
    call(signals)
    flush(signals, metrics=False)
    assert len(store.spans()) == 1 and store.metrics() == []
    flush(signals, metrics=True)
    assert {metric.name for metric in store.metrics()} >= {"prompt_tokens"}


def test_metrics_say_what_came_since_the_last_time(start: Start) -> None:
    signals, store = start()
    call(signals, tokens=3)
    call(signals, tokens=5)
    flush(signals)
    call(signals, tokens=11)
    flush(signals)
    sums: dict[str, list[int]] = {}
    for metric in store.metrics():
        if metric.HasField("sum"):
            assert metric.sum.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
            [point] = metric.sum.data_points
            assert metric.sum.is_monotonic
            if metric.name.startswith("gen_ai."):
                assert plain(point.attributes) == CALL_LABELS | {"gen_ai.token.modality": "unknown"}
                assert metric.unit == "{token}"
            else:
                assert plain(point.attributes) == {"model_id": "up/m", "provider_id": "up"}
            sums.setdefault(metric.name, []).append(point.as_int)
    usage = "gen_ai.client.inference.usage"
    assert sums == {
        "prompt_tokens": [14, 7],
        "completion_tokens": [8, 11],
        "total_tokens": [22, 18],
        f"{usage}.input_tokens": [14, 7],
        f"{usage}.output_tokens": [8, 11],
    }
    first = {metric.name: metric for metric in reversed(store.metrics()) if metric.HasField("histogram")}
    assert set(first) == {
        "gen_ai.client.inference.duration",
        "gen_ai.client.inference.operation.input_tokens",
        "gen_ai.client.inference.operation.output_tokens",
    }
    for name, (unit, bounds) in {
        "gen_ai.client.inference.duration": ("s", [0.01, 0.02, 0.04]),
        "gen_ai.client.inference.operation.input_tokens": ("{token}", [1, 4, 16]),
    }.items():
        [point] = first[name].histogram.data_points
        assert (first[name].unit, list(point.explicit_bounds)[:3], point.count) == (unit, bounds, 2)
        assert plain(point.attributes) == CALL_LABELS


CALL_LABELS = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "up",
    "gen_ai.request.model": "m",
    "gen_ai.response.model": "m-1",
    "server.address": "127.0.0.1",
    "server.port": 8000,
}


@pytest.mark.parametrize(
    ("wanted", "earlier"),
    [
        ("", False),
        ("http/dup,gen_ai_latest_experimental", False),
        ("database", False),
        ("gen_ai/dup", True),
        ("http , GEN_AI/dup", True),
        ("gen_ai_latest_experimental/dup", True),
    ],
)
def test_earlier_names_where_they_are_asked_for(
    start: Start, monkeypatch: pytest.MonkeyPatch, wanted: str, earlier: bool
) -> None:
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", wanted)
    signals, store = start()
    call(signals)
    flush(signals)
    found = {metric.name: metric for metric in store.metrics()}
    old = {"gen_ai.client.token.usage", "gen_ai.client.operation.duration"}
    assert found.keys() & old == (old if earlier else set())
    assert {"gen_ai.client.inference.duration", "prompt_tokens"} <= found.keys()
    if earlier:
        points = found["gen_ai.client.token.usage"].histogram.data_points
        assert {plain(one.attributes)["gen_ai.token.type"]: one.sum for one in points} == {
            "input": 7,
            "output": 3,
        }


def test_unknown_tokens_are_left_out(start: Start) -> None:
    signals, store = start()
    with signals.calls.begin("up", "m", "", {}) as one:
        one.first_chunk()
        one.answered(("stop",), input_tokens=None, output_tokens=4)
    with signals.calls.begin("up", "m", "", {}) as one:
        one.answered(("stop",))
    flush(signals)
    found = {metric.name: metric for metric in store.metrics()}
    assert not [name for name in found if "input_tokens" in name or name == "prompt_tokens"]
    for name in ("completion_tokens", "total_tokens", "gen_ai.client.inference.usage.output_tokens"):
        assert [point.as_int for point in found[name].sum.data_points] == [4]
    assert found["gen_ai.client.inference.time_to_first_chunk"].histogram.data_points[0].count == 1
    assert sum(one.count for one in found["gen_ai.client.inference.duration"].histogram.data_points) == 2
    spans = [plain(span.attributes) for span in store.spans()]
    assert not any("gen_ai.usage.input_tokens" in attributes for attributes in spans)


@pytest.mark.slow
def test_series_without_number_have_a_limit(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telemetry.own.signals.FLUSH_TIMEOUT_S", 120.0)
    signals, store = start()
    for number in range(2500):
        call(signals, model=f"model-{number}")
    flush(signals)
    prompt = next(metric for metric in store.metrics() if metric.name == "prompt_tokens")
    assert len(prompt.sum.data_points) <= 2001
    assert sum(point.as_int for point in prompt.sum.data_points) == 2500 * 7


def test_what_is_too_much_is_dropped_and_said(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(in_process, "MAX_WAITING", 50)
    signals, store = start()
    store.open.clear()
    with signals.tracing.span("first"):
        pass
    time.sleep(in_process.LINGER_S + 0.3)
    began = time.perf_counter()
    for number in range(200):
        with signals.tracing.span(f"span {number}"):
            pass
    assert time.perf_counter() - began < 30, "a store that does not answer held somebody up"
    store.open.set()
    flush(signals)
    assert len(store.spans()) == 51
    assert "150 spans or measurements of the server itself were dropped" in caplog.text


def test_a_store_that_fails_is_asked_again_and_then_goes_without(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(in_process, "ATTEMPTS_S", (0.01, None))
    signals, store = start()
    store.broken = True
    with signals.tracing.span("lost"):
        pass
    flush(signals)
    assert store.refused == 2 and "1 spans" in caplog.text
    store.broken = False
    with signals.tracing.span("kept"):
        pass
    flush(signals)
    assert [span.name for span in store.spans()] == ["kept"]


def test_a_reader_does_not_wait_for_ever(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("telemetry.own.signals.FLUSH_TIMEOUT_S", 0.1)
    signals, store = start()
    store.open.clear()
    with signals.tracing.span("held"):
        pass
    flush(signals)
    assert "a read continues without it" in caplog.text
    store.open.set()


def test_the_last_ones_are_stored_at_the_end(start: Start) -> None:
    signals, store = start()
    call(signals)
    signals.close()
    assert [span.name for span in store.spans()] == ["chat m"]
    assert {metric.name for metric in store.metrics()} >= {
        "prompt_tokens",
        "gen_ai.client.inference.duration",
    }
    with signals.tracing.span("after the end"):
        pass
    assert len(store.spans()) == 1


@pytest.mark.parametrize("variable", [external.DISABLED, "OTEL_TRACES_SAMPLER", ""])
def test_what_is_switched_off_is_not_stored(
    start: Start, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    if variable:
        monkeypatch.setenv(variable, "true" if variable == external.DISABLED else "always_off")
    signals, store = start(own=bool(variable))
    call(signals)
    flush(signals)
    assert store.spans() == []
    # A sampler is about traces; what is counted is counted.
    assert bool(store.metrics()) is (variable == "OTEL_TRACES_SAMPLER")


def test_spans_from_all_threads_arrive_while_others_flush(start: Start) -> None:
    signals, store = start()

    def work(name: int) -> None:
        for number in range(100):
            with signals.tracing.span(f"{name}.{number}"):
                pass

    threads: list[Any] = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        flush(signals)
    flush(signals)
    assert len({span.name for span in store.spans()}) == len(store.spans()) == 400
