"""The port through which a turn accesses external systems: models, shields, the clock, new ids.

The runner (`turn_runner.py`) uses nothing else, so everything that influences a turn passes through this port
and is recorded in its events, and replaying a record only needs another implementation of this protocol.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Literal, Protocol

import uuid_utils
from opentelemetry.trace import SpanKind
from opentelemetry.util.types import AttributeValue

from schemas.events.payload import Violation
from stack.errors import UpstreamTimeout
from stack.providers.inference.port import (
    Finished,
    InferenceEvent,
    InferenceProvider,
    InferenceRequest,
    Opened,
    Retrying,
    TextChunk,
    ToolCallChunk,
)
from stack.providers.retrieval.port import Passage, Ranking, Text
from stack.providers.shields.port import Shield, ShieldRequest
from stack.providers.tools.port import Suspended, ToolRequest, ToolResult
from stack.services.tools.tool_set import ServerTool
from stack.services.tools.tool_spans import EXTENSION, execution_span, show_result
from telemetry.own import conventions as names
from telemetry.own.invocation import tool_executed
from telemetry.own.model_call import ModelCall, ModelCalls
from telemetry.own.tracing import Tracing, upstream_headers

Captured = Literal["all", "input", "none"]
"""The content that the span of a call may show, if it is captured at all: not an answer or a result before shields have
judged it."""


class Effects(Protocol):
    def now_ms(self) -> float:
        """Returns milliseconds of a monotonic clock; only differences are meaningful."""
        ...

    def now_us(self) -> int:
        """Returns microseconds since 1970."""
        ...

    def new_id(self) -> str: ...

    async def call_tool(
        self,
        tool: ServerTool,
        call_id: str,
        request: ToolRequest,
        labels: Mapping[str, str],
        captured: Captured = "all",
    ) -> ToolResult | Suspended:
        """Calls a tool of the server. Raises the errors of `ToolGroup.call`, and UpstreamTimeout."""
        ...

    def infer(
        self,
        provider: InferenceProvider,
        request: InferenceRequest,
        labels: Mapping[str, str],
        captured: Captured = "all",
    ) -> AsyncGenerator[InferenceEvent, None]:
        """Calls a model. `labels` identify the caller (attributes of the span)."""
        ...

    async def retrieve(
        self, query: str, documents: Sequence[Text], labels: Mapping[str, str]
    ) -> list[Passage]:
        """Looks for passages in documents. Raises the errors of `Ranking`."""
        ...

    async def check(self, shield: Shield, request: ShieldRequest, touchpoint: str) -> Violation | None:
        """Asks a shield, within its time limit. Raises TimeoutError, and what the shield raises."""
        ...


class RealEffects:
    """The actual effects, observed: each inference is a `chat` span under the turn's, each call of a tool an
    `execute_tool` span, each check of a shield a `shield_call` span, each search in documents a `retrieval`
    span. A search returns at most `max_retrieved_tokens`."""

    def __init__(
        self,
        calls: ModelCalls,
        tracing: Tracing,
        ranking: Ranking | None = None,
        max_retrieved_tokens: int = 0,
    ) -> None:
        self._ranking = ranking
        self._max_retrieved_tokens = max_retrieved_tokens
        self._calls = calls
        self._tracing = tracing

    def now_ms(self) -> float:
        return time.monotonic() * 1000.0

    def now_us(self) -> int:
        return time.time_ns() // 1000

    def new_id(self) -> str:
        return new_id()

    async def call_tool(
        self,
        tool: ServerTool,
        call_id: str,
        request: ToolRequest,
        labels: Mapping[str, str],
        captured: Captured = "all",
    ) -> ToolResult | Suspended:
        with execution_span(self._tracing, tool, call_id, request, labels) as span:
            began = time.perf_counter()
            try:
                async with asyncio.timeout(tool.configured.settings.timeout_s) as limit:
                    outcome = await tool.configured.group.call(request)
            except TimeoutError:
                span.fail("timeout")
                if not limit.expired():
                    raise
                seconds = tool.configured.settings.timeout_s
                raise UpstreamTimeout(
                    f"The tool {tool.name!r} did not answer within {seconds:g} s."
                ) from None
            except Exception as error:
                span.fail(type(error).__name__)
                raise
            if isinstance(outcome, ToolResult):
                tool_executed(tool.name, EXTENSION, time.perf_counter() - began)
                if outcome.is_error:
                    span.fail("tool_error")
                if captured == "all":
                    show_result(span, outcome.content)
            return outcome

    async def infer(
        self,
        provider: InferenceProvider,
        request: InferenceRequest,
        labels: Mapping[str, str],
        captured: Captured = "all",
    ) -> AsyncGenerator[InferenceEvent, None]:
        attributes = {**_request_attributes(request), **labels}
        with self._calls.begin(provider.id, request.model, provider.base_url, attributes) as call:
            events = provider.infer(request, headers=upstream_headers())
            shown = ShownAnswer() if self._calls.captures and captured != "none" else None
            begun = False
            try:
                async for event in events:
                    if isinstance(event, Finished):
                        _describe(call, event)
                        if shown is not None:
                            received = shown.messages(event.reason) if captured == "all" else None
                            call.show(list(map(bytes, request.each_message())), received)
                    elif not begun and not isinstance(event, Opened | Retrying):
                        begun = True
                        call.first_chunk()
                    if shown is not None:
                        shown.add(event)
                    yield event
            finally:
                await events.aclose()

    async def retrieve(
        self, query: str, documents: Sequence[Text], labels: Mapping[str, str]
    ) -> list[Passage]:
        assert self._ranking is not None
        attributes: dict[str, AttributeValue] = {names.GEN_AI_OPERATION_NAME: names.RETRIEVAL, **labels}
        with self._tracing.span(f"{names.RETRIEVAL} documents", SpanKind.INTERNAL, attributes) as span:
            passages = await self._ranking.best_of(query, documents, self._max_retrieved_tokens)
            span.set(names.RETRIEVED_COUNT, len(passages))
            return passages

    async def check(self, shield: Shield, request: ShieldRequest, touchpoint: str) -> Violation | None:
        attributes: dict[str, AttributeValue] = {
            **request.labels,
            names.SHIELD_ID: shield.id,
            names.SHIELD_KIND: shield.kind,
        }
        if touchpoint:
            attributes[names.SHIELD_TOUCHPOINT] = touchpoint
        with self._tracing.span(f"{names.SHIELD_CALL} {shield.id}", attributes=attributes) as span:
            async with asyncio.timeout(shield.timeout_s):
                violation = await shield.check(request)
            if violation is not None:
                span.set(names.SHIELD_VIOLATION_LEVEL, violation.level)
                span.set(
                    names.SHIELD_VIOLATION_TYPE, str((violation.metadata or {}).get("violation_type", ""))
                )
            return violation


def _request_attributes(request: InferenceRequest) -> dict[str, AttributeValue | None]:
    return {
        names.GEN_AI_REQUEST_STREAM: True,
        names.GEN_AI_REQUEST_TEMPERATURE: request.temperature,
        names.GEN_AI_REQUEST_TOP_P: request.top_p,
        names.GEN_AI_REQUEST_TOP_K: request.top_k,
        names.GEN_AI_REQUEST_MAX_TOKENS: request.max_tokens,
        names.GEN_AI_REQUEST_STOP_SEQUENCES: tuple(request.stop) or None,
        names.GEN_AI_OUTPUT_TYPE: None if request.response_format is None else "json",
    }


def _describe(call: ModelCall, finished: Finished) -> None:
    call.answered(
        (finished.reason,),
        response_id=finished.response_id,
        response_model=finished.response_model,
        input_tokens=finished.usage.input_tokens,
        output_tokens=finished.usage.output_tokens,
    )


class ShownAnswer:
    """An answer assembled as one message, for its span."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._calls: dict[int, dict[str, Any]] = {}

    def add(self, event: InferenceEvent) -> None:
        match event:
            case TextChunk(text=text):
                self._text.append(text)
            case ToolCallChunk(index=index, call_id=call_id, name=name, arguments=arguments):
                function = {"name": name, "arguments": ""}
                call = self._calls.setdefault(index, {"id": call_id, "function": function})
                call["function"]["arguments"] += arguments

    def messages(self, reason: str) -> list[tuple[dict[str, Any], str]]:
        """Returns the message with its finish reason."""
        calls = list(self._calls.values())
        return [({"content": "".join(self._text), "tool_calls": calls}, reason)]


def new_id() -> str:
    """Returns a UUIDv7: unique, and ordered by time, so that ids of the same time are stored together on
    disk."""
    return str(uuid_utils.uuid7())
