"""The observation of requests that are passed through: their spans and token counts."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from stack.errors import NotFound, ReplaystackError, Unavailable, UpstreamFailed
from stack.providers.inference.openai_client import warm_up
from stack.providers.inference.registry import Models
from stack.providers.inference.settings import InferenceSettings
from stack.services.inference.pass_through import (
    CHAT_COMPLETIONS,
    Endpoint,
    PassThrough,
)
from telemetry.own import tracing
from telemetry.own.metrics import MeasuredCall, Metrics
from telemetry.own.model_call import ModelCalls
from tests.servers.processes import RunningServer


class Kept(Metrics):
    """Keeps what is recorded instead of counting it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[MeasuredCall] = []

    def record(self, call: MeasuredCall) -> None:
        self.calls.append(call)


class Observed:
    """The service over the scripted server, with what it lets be seen."""

    def __init__(self, scripted: RunningServer, captures: bool = False, limit: int = 8) -> None:
        self._exporter = InMemorySpanExporter()
        self.metrics = Kept()
        self.tracing = tracing.start("0", "i", [SimpleSpanProcessor(self._exporter)])
        calls = ModelCalls(self.tracing, self.metrics, captures)
        short = InferenceSettings(
            id="up", base_url=scripted.base_url, first_token_timeout_s=1.0, stall_timeout_s=0.3
        )
        self.models = Models([short], discovery=False)
        self.service = PassThrough(self.models, calls, limit)
        self.port = scripted.port

    async def ask(self, script: str, endpoint: Endpoint = CHAT_COMPLETIONS, **more: Any) -> bytes:
        messages = [{"role": "user", "content": "Hello"}]
        body = json.dumps({"model": f"up/{script}", "messages": messages, **more}).encode()
        await warm_up()  # Or the first call of all spends its time on an import.
        with self.tracing.span("request"):
            async with self.service.passed(endpoint, body, {}) as answer:
                return b"".join([piece async for piece in answer.pieces])

    def span(self) -> tuple[ReadableSpan, dict[str, Any]]:
        """The one span of a model call, and its attributes."""
        by_name = {span.name: span for span in self._exporter.get_finished_spans()}
        [name] = [name for name in by_name if name.startswith("chat ")]
        call, request = by_name[name], by_name["request"]
        assert call.parent is not None and request.context is not None
        assert call.parent.span_id == request.context.span_id and call.kind is SpanKind.CLIENT
        return call, dict(call.attributes or {})


@pytest.fixture
async def observed(scripted: RunningServer) -> AsyncIterator[Observed]:
    observed = Observed(scripted)
    yield observed
    await observed.models.aclose()


@pytest.mark.anyio
async def test_a_streamed_call(observed: Observed) -> None:
    await observed.ask(
        "text;chunks=3",
        stream=True,
        temperature=0.5,
        top_p=1,
        max_tokens=20,
        stop="END",
        seed=7,
        n=1,
        response_format={"type": "json_object"},
    )
    span, attributes = observed.span()
    assert span.name == "chat text;chunks=3" and span.status.is_unset
    assert 0 < attributes.pop("gen_ai.response.time_to_first_chunk") < 5
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "up",
        "gen_ai.request.model": "text;chunks=3",
        "gen_ai.request.stream": True,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 1.0,
        "gen_ai.request.max_tokens": 20,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.request.seed": 7,
        "gen_ai.output.type": "json",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.id": "chatcmpl-scripted",
        "gen_ai.response.model": "scripted",
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
        "server.address": "127.0.0.1",
        "server.port": observed.port,
    }
    [call] = observed.metrics.calls
    assert (call.input_tokens, call.output_tokens, call.error) == (7, 3, "") and 0 < call.duration_s < 5


@pytest.mark.anyio
async def test_a_call_in_one_piece(observed: Observed) -> None:
    await observed.ask("text;chunks=3", n=2, temperature="odd", stop=["a", "b"])
    _, attributes = observed.span()
    assert attributes["gen_ai.request.choice.count"] == 2
    assert attributes["gen_ai.request.stop_sequences"] == ("a", "b")
    assert attributes["gen_ai.usage.output_tokens"] == 3
    assert not {"gen_ai.request.temperature", "gen_ai.request.stream"} & set(attributes)


@pytest.mark.anyio
async def test_without_tokens_there_is_a_duration_only(observed: Observed) -> None:
    await observed.ask("no-usage", stream=True)
    _, attributes = observed.span()
    assert attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert "gen_ai.usage.input_tokens" not in attributes
    [call] = observed.metrics.calls
    assert call.input_tokens is None and call.ended


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("status;code=429", "429"),
        ("drop", "UpstreamFailed"),
        ("mute", "UpstreamTimeout"),
        ("cut", "UpstreamFailed"),
        ("stall", "UpstreamTimeout"),
        ("error", "server_error"),
    ],
)
async def test_a_failure(observed: Observed, script: str, error: str) -> None:
    try:
        await observed.ask(script, stream=True)
    except ReplaystackError as raised:
        assert type(raised).__name__ == error
    span, attributes = observed.span()
    assert attributes["error.type"] == error and not span.status.is_ok
    assert [call.error for call in observed.metrics.calls] == [error]


@pytest.mark.anyio
async def test_who_leaves_is_no_failure_and_counts_nothing(observed: Observed) -> None:
    body = json.dumps({"model": "up/stall;chunks=2", "messages": [], "stream": True}).encode()
    with observed.tracing.span("request"):
        async with observed.service.passed(CHAT_COMPLETIONS, body, {}) as answer:
            assert await anext(answer.pieces)
    span, attributes = observed.span()
    assert span.status.is_unset and "error.type" not in attributes
    assert attributes["gen_ai.response.model"] == "scripted"
    assert observed.metrics.calls == []


@pytest.mark.anyio
async def test_messages_are_on_the_span_only_where_that_is_switched_on(scripted: RunningServer) -> None:
    for captures in (False, True):
        observed = Observed(scripted, captures)
        try:
            await observed.ask("text;chunks=3", stream=True)
            _, attributes = observed.span()
            assert ("gen_ai.input.messages" in attributes) is captures
            if captures:
                said = [{"type": "text", "content": "Hello"}]
                assert json.loads(attributes["gen_ai.input.messages"]) == [{"role": "user", "parts": said}]
                answered = [{"type": "text", "content": "The answer comes"}]
                assert json.loads(attributes["gen_ai.output.messages"]) == [
                    {"role": "assistant", "parts": answered, "finish_reason": "stop"}
                ]
        finally:
            await observed.models.aclose()


@pytest.mark.anyio
async def test_the_limit_is_given_back_whatever_happens(scripted: RunningServer) -> None:
    observed = Observed(scripted, limit=1)
    try:
        body = b'{"model": "up/mute", "messages": []}'
        for script, error in (("status;code=500", None), ("drop", UpstreamFailed)):
            try:
                await observed.ask(script)
            except ReplaystackError as raised:
                assert error is not None and isinstance(raised, error)
        with pytest.raises(NotFound):
            async with observed.service.passed(CHAT_COMPLETIONS, body.replace(b"up/", b"no one/"), {}):
                pass
        stalled = b'{"model": "up/stall", "messages": [], "stream": true}'
        async with observed.service.passed(CHAT_COMPLETIONS, stalled, {}):
            with pytest.raises(Unavailable):
                await observed.ask("text")
        assert b"answer" in await observed.ask("text")
    finally:
        await observed.models.aclose()
