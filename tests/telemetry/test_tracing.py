"""Spans, their ids and their parents; the standard variables; an exporter against a real OTLP endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from telemetry.own import conventions, external, tracing
from tests.telemetry.collector import collecting

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"


@pytest.fixture(autouse=True)
def no_standard_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*external.TRACES_ENDPOINT, *external.TRACES_PROTOCOL, "OTEL_SDK_DISABLED", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_TRACES_EXPORTER", "OTEL_TRACES_SAMPLER", "OTEL_EXPORTER_OTLP_HEADERS"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)


class Recorded:
    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracing = tracing.start("1.2.3", "instance-1", [SimpleSpanProcessor(self._exporter)])

    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self._exporter.get_finished_spans()}


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    recorded = Recorded()
    yield recorded
    recorded.tracing.shutdown()


def test_spans_nest_and_continue_the_callers_trace(recorded: Recorded) -> None:
    with recorded.tracing.server_span("POST", "/x", traceparent=TRACEPARENT) as server:
        assert server.trace_id == TRACE_ID == tracing.current_trace_id()
        attributes = {conventions.GEN_AI_OPERATION_NAME: conventions.CHAT}
        with recorded.tracing.span("chat m", SpanKind.CLIENT, attributes) as chat:
            assert tracing.upstream_headers() == {"traceparent": chat.traceparent}
        server.rename("POST /{x}")
    assert tracing.current_trace_id() == ""
    spans = recorded.spans()
    assert set(spans) == {"chat m", "POST /{x}"}
    chat_span, server_span = spans["chat m"], spans["POST /{x}"]
    assert chat_span.parent is not None and server_span.context is not None
    assert chat_span.parent.span_id == server_span.context.span_id
    assert chat_span.kind is SpanKind.CLIENT
    assert server_span.kind is SpanKind.SERVER
    assert dict(chat_span.attributes or {}) == attributes


def test_a_tracestate_is_handed_on(recorded: Recorded) -> None:
    with recorded.tracing.server_span("GET", traceparent=TRACEPARENT, tracestate="vendor=1,other=2"):
        assert tracing.upstream_headers()["tracestate"] == "vendor=1,other=2"


def test_a_request_without_traceparent_begins_a_trace(recorded: Recorded) -> None:
    with (
        recorded.tracing.span("around"),
        recorded.tracing.server_span("GET") as server,
        recorded.tracing.span("below", traceparent=TRACEPARENT) as below,
    ):
        # A server span belongs to its caller, never to what happens to be current here.
        assert server.trace_id not in (TRACE_ID, "0" * 32)
        assert below.trace_id == TRACE_ID
    assert recorded.spans()["GET"].parent is None


def test_a_failure_marks_the_span_without_its_words(recorded: Recorded) -> None:
    with pytest.raises(ValueError, match="secret"), recorded.tracing.span("work"):
        raise ValueError("a secret")
    span = recorded.spans()["work"]
    assert not span.status.is_ok
    assert dict(span.attributes or {}) == {"error.type": "ValueError", "__root__": True}
    assert "secret" not in span.to_json()


@pytest.mark.anyio
async def test_a_cancelled_span_ends_and_has_not_failed(recorded: Recorded) -> None:
    async def work() -> None:
        with recorded.tracing.span("work"):
            await asyncio.sleep(60)

    task = asyncio.ensure_future(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert recorded.spans()["work"].status.is_unset


async def _next(stream: AsyncGenerator[int, None]) -> int:
    return await anext(stream)


@pytest.mark.anyio
async def test_a_span_may_end_in_another_context(
    recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    async def pieces() -> AsyncGenerator[int, None]:
        with recorded.tracing.span("work"):
            yield 1
            yield 2

    stream = pieces()
    assert await asyncio.create_task(_next(stream)) == 1
    await stream.aclose()
    assert recorded.spans()["work"].status.is_unset
    assert caplog.records == []


def test_the_resource_says_who_it_is(recorded: Recorded) -> None:
    with recorded.tracing.span("x"):
        pass
    resource = recorded.spans()["x"].resource.attributes
    assert resource["service.name"] == "replaystack"
    assert resource["service.version"] == "1.2.3"
    assert resource["service.instance.id"] == "instance-1"


def test_standard_variables_overrule_the_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "my-agents")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    recorded = Recorded()
    with recorded.tracing.span("x"):
        pass
    resource = recorded.spans()["x"].resource.attributes
    assert resource["service.name"] == "my-agents"
    assert resource["deployment.environment.name"] == "test"
    recorded.tracing.shutdown()


@pytest.mark.parametrize("variable", ["OTEL_SDK_DISABLED", "OTEL_TRACES_SAMPLER"])
def test_ids_exist_where_nothing_is_recorded(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "true" if variable == "OTEL_SDK_DISABLED" else "always_off")
    recorded = Recorded()
    with recorded.tracing.server_span("GET") as server:
        assert server.trace_id == tracing.current_trace_id() != "0" * 32
        with recorded.tracing.span("below") as below:
            below.set("a", 1)
            assert below.trace_id == server.trace_id
            assert below.traceparent != server.traceparent
    with recorded.tracing.server_span("GET", traceparent=TRACEPARENT) as continued:
        assert continued.trace_id == TRACE_ID
    assert recorded.spans() == {}
    recorded.tracing.shutdown()


def test_spans_reach_an_otlp_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret")
        exporting = tracing.start("0", "i")
        with exporting.span("exported"):
            pass
        exporting.shutdown()
        assert [span.name for span in collector.spans] == ["exported"]
        assert collector.headers["x-key"] == "secret"


@pytest.mark.parametrize(
    ("listed", "exported"), [("none", 0), ("otlp", 1), ("console,otlp", 1), ("console", 0)]
)
def test_which_exporters_there_are_is_said_by_the_variable(
    monkeypatch: pytest.MonkeyPatch, listed: str, exported: int
) -> None:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", listed)
        exporting = tracing.start("0", "i")
        with exporting.span("exported"):
            pass
        exporting.shutdown()
        assert len(collector.spans) == exported


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf", "carrier-pigeon"])
def test_an_unreachable_endpoint_does_not_hold_the_shutdown(
    monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:1/v1/traces")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    exporting = tracing.start("0", "i")
    with exporting.span("lost"):
        pass
    exporting.shutdown(timeout_s=0.2)
