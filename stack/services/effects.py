"""The port through which a turn reaches the world: models, the clock, new ids.

The runner (`turn_runner.py`) has no other way out, so whatever influenced a turn came through here and is in
its events, and a run from the record needs only another implementation of this protocol.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from typing import Protocol

import uuid_utils
from opentelemetry.trace import SpanKind
from opentelemetry.util.types import AttributeValue

from stack.providers.inference.port import (
    Finished,
    InferenceEvent,
    InferenceProvider,
    InferenceRequest,
)
from telemetry import conventions as names
from telemetry.tracing import ActiveSpan, Tracing, upstream_headers


class Effects(Protocol):
    def now_ms(self) -> float:
        """Milliseconds of a clock that only goes forward; differences count, not values."""
        ...

    def new_id(self) -> str: ...

    def infer(
        self, provider: InferenceProvider, request: InferenceRequest, labels: Mapping[str, str]
    ) -> AsyncGenerator[InferenceEvent, None]:
        """Asks a model. `labels` say on whose behalf (attributes of the span)."""
        ...


class RealEffects:
    """The world itself, observed: each inference is a `chat` span below the turn's."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    def now_ms(self) -> float:
        return time.monotonic() * 1000.0

    def new_id(self) -> str:
        return new_id()

    async def infer(
        self, provider: InferenceProvider, request: InferenceRequest, labels: Mapping[str, str]
    ) -> AsyncGenerator[InferenceEvent, None]:
        attributes = _request_attributes(provider, request) | dict(labels)
        with self._tracing.span(f"{names.CHAT} {request.model}", SpanKind.CLIENT, attributes) as span:
            events = provider.infer(request, headers=upstream_headers())
            try:
                async for event in events:
                    if isinstance(event, Finished):
                        _describe(span, event)
                    yield event
            finally:
                await events.aclose()


def _request_attributes(provider: InferenceProvider, request: InferenceRequest) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {
        names.GEN_AI_OPERATION_NAME: names.CHAT,
        names.GEN_AI_PROVIDER_NAME: provider.id,
        names.GEN_AI_REQUEST_MODEL: request.model,
    }
    optional: dict[str, AttributeValue | None] = {
        names.GEN_AI_REQUEST_TEMPERATURE: request.temperature,
        names.GEN_AI_REQUEST_TOP_P: request.top_p,
        names.GEN_AI_REQUEST_TOP_K: request.top_k,
        names.GEN_AI_REQUEST_MAX_TOKENS: request.max_tokens,
    }
    return attributes | {name: value for name, value in optional.items() if value is not None}


def _describe(span: ActiveSpan, finished: Finished) -> None:
    span.set(names.GEN_AI_RESPONSE_FINISH_REASONS, (finished.reason,))
    span.set(names.GEN_AI_RESPONSE_ID, finished.response_id or None)
    span.set(names.GEN_AI_RESPONSE_MODEL, finished.response_model or None)
    span.set(names.GEN_AI_USAGE_INPUT_TOKENS, finished.usage.input_tokens)
    span.set(names.GEN_AI_USAGE_OUTPUT_TOKENS, finished.usage.output_tokens)


def new_id() -> str:
    """A UUIDv7: unique, and ordered by time, which keeps neighbours in time together on disk."""
    return str(uuid_utils.uuid7())
