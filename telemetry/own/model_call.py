"""One model call: its span and its metrics, by the GenAI conventions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.trace import SpanKind
from opentelemetry.util.types import AttributeValue

from telemetry.own import conventions as names
from telemetry.own import message_content
from telemetry.own.invocation import inference_begun
from telemetry.own.metrics import MeasuredCall, Metrics
from telemetry.own.tracing import ActiveSpan, Tracing

OnTokens = Callable[[int], None]


class ModelCalls:
    """Starts model calls. `captures` enables messages on their spans; `on_tokens` is called with the tokens
    of each answer that reports them, in the context of its call."""

    def __init__(
        self,
        tracing: Tracing,
        metrics: Metrics,
        captures: bool = False,
        on_tokens: OnTokens | None = None,
    ) -> None:
        self._on_tokens = on_tokens
        self._tracing = tracing
        self._metrics = metrics
        self.captures = captures

    def begin(
        self,
        provider: str,
        model: str,
        base_url: str,
        attributes: Mapping[str, AttributeValue | None],
        operation: str = names.CHAT,
    ) -> ModelCall:
        """Starts a call under the current span. `model` is the provider's own name of it; `base_url` may be
        empty; `operation` is a value of `gen_ai.operation.name`. Attributes that are None are left out."""
        address, port = _address(base_url)
        said: dict[str, AttributeValue] = {
            names.GEN_AI_OPERATION_NAME: operation,
            names.GEN_AI_PROVIDER_NAME: provider,
            names.GEN_AI_REQUEST_MODEL: model,
        }
        if address:
            said |= {names.SERVER_ADDRESS: address, names.SERVER_PORT: port}
        said |= {name: value for name, value in attributes.items() if value is not None}
        inference_begun()
        span = self._tracing.span(f"{operation} {model}", SpanKind.CLIENT, said)
        measured = MeasuredCall(provider, model, address, port, operation)
        return ModelCall(span, self._metrics, self.captures, measured, self._on_tokens)


class ModelCall:
    """A running call; its span is current in its `with` block. An exception that leaves the block marks it as
    failed."""

    __slots__ = ("_began", "_captures", "_measured", "_metrics", "_on_tokens", "_span")

    def __init__(
        self,
        span: ActiveSpan,
        metrics: Metrics,
        captures: bool,
        measured: MeasuredCall,
        on_tokens: OnTokens | None,
    ) -> None:
        self._on_tokens = on_tokens
        self._span = span
        self._metrics = metrics
        self._captures = captures
        self._measured = measured
        self._began = 0.0

    def first_chunk(self) -> None:
        """Records the first chunk of the answer; later calls have no effect."""
        if self._measured.first_chunk_s is None:
            self._measured.first_chunk_s = time.perf_counter() - self._began
            self._span.set(names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK, self._measured.first_chunk_s)

    def answered(
        self,
        reasons: Sequence[str],
        *,
        response_id: str = "",
        response_model: str = "",
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        ended: bool = True,
    ) -> None:
        """Records what the answer reported; empty or None if it did not. `ended` is false if the caller
        cancelled the call."""
        span, measured = self._span, self._measured
        span.set(names.GEN_AI_RESPONSE_FINISH_REASONS, tuple(reasons) or None)
        span.set(names.GEN_AI_RESPONSE_ID, response_id or None)
        span.set(names.GEN_AI_RESPONSE_MODEL, response_model or None)
        span.set(names.GEN_AI_USAGE_INPUT_TOKENS, input_tokens)
        span.set(names.GEN_AI_USAGE_OUTPUT_TOKENS, output_tokens)
        measured.response_model = response_model
        measured.input_tokens, measured.output_tokens = input_tokens, output_tokens
        measured.ended = measured.ended or ended
        if self._on_tokens is not None:
            self._on_tokens((input_tokens or 0) + (output_tokens or 0))

    def show(self, sent: Sequence[bytes], received: Iterable[tuple[Mapping[str, Any], str]] | None) -> None:
        """Sets messages on the span, if enabled: those sent, encoded in OpenAI's chat format, and those
        received, each with its finish reason, unless they are None."""
        if self._captures:
            self._span.set(message_content.INPUT_MESSAGES, message_content.input_messages(sent))
            if received is not None:
                self._span.set(message_content.OUTPUT_MESSAGES, message_content.output_messages(received))

    def failed(self, error_type: str) -> None:
        self._span.fail(error_type)
        self._measured.error = error_type
        self._measured.ended = True

    def __enter__(self) -> ModelCall:
        self._span.__enter__()
        self._began = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception):
            self.failed(type(error).__name__)
        # The duration of a call that its caller cancelled says nothing about the model.
        if self._measured.ended:
            self._measured.duration_s = time.perf_counter() - self._began
            self._metrics.record(self._measured)
        self._span.__exit__(None, None, None)


@lru_cache(256)
def _address(base_url: str) -> tuple[str, int]:
    """Returns host and port of a URL."""
    url = urlsplit(base_url)
    return url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
