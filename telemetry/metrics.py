"""The server's own metrics: what calls of models took, in the GenAI conventions and under the older names.

Recording is an append; a thread counts (see `in_process.py`). The SDK takes 12 to 17 us for each value, and a call
has six: what only adds up is added up first.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from opentelemetry.sdk.resources import Resource

from telemetry import conventions as names

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.util.types import AttributeValue

logger = logging.getLogger("replaystack.tracing")

MAX_WAITING = 65_536


class MeasuredCall(Struct):
    """A call of a model. `ended` unless its caller gave it up; tokens are None where the server told none."""

    provider: str
    model: str
    address: str
    port: int
    response_model: str = ""
    error: str = ""
    duration_s: float = 0.0
    input_tokens: int | None = None
    output_tokens: int | None = None
    ended: bool = False


class Metrics:
    """`record` from any thread; `open`, `count` and `close` from the one that exports."""

    def __init__(self, enabled: bool = True) -> None:
        self._enabled = enabled
        self._waiting: deque[MeasuredCall] = deque()
        self._provider: MeterProvider | None = None
        self.dropped = 0
        self.wake: Callable[[], None] = lambda: None
        """Called after each record."""

    @property
    def waiting(self) -> bool:
        return bool(self._waiting)

    @property
    def opened(self) -> bool:
        return self._provider is not None

    def record(self, call: MeasuredCall) -> None:
        """Never blocks: what is too much is dropped and counted."""
        if not self._enabled:
            return
        if len(self._waiting) >= MAX_WAITING:
            self.dropped += 1
            return
        self._waiting.append(call)
        self.wake()

    def open(self, resource: Resource, readers: Sequence[MetricReader], version: str) -> None:
        """Makes the instruments. Imports the SDK's part for metrics, which takes 40 ms."""
        from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider

        self._provider = MeterProvider(
            readers, resource, exemplar_filter=AlwaysOffExemplarFilter(), shutdown_on_exit=False
        )
        meter = self._provider.get_meter("replaystack", version)
        self._durations = meter.create_histogram(
            names.GEN_AI_CLIENT_OPERATION_DURATION,
            "s",
            "How long calls of models took.",
            explicit_bucket_boundaries_advisory=names.DURATION_BOUNDARIES_S,
        )
        self._tokens = meter.create_histogram(
            names.GEN_AI_CLIENT_TOKEN_USAGE,
            "{token}",
            "Tokens that calls of models took in and gave out.",
            explicit_bucket_boundaries_advisory=names.TOKEN_BOUNDARIES,
        )
        self._sums = [
            meter.create_counter(name, "tokens", description)
            for name, description in (
                (names.PROMPT_TOKENS, "Tokens that models took in."),
                (names.COMPLETION_TOKENS, "Tokens that models gave out."),
                (names.TOTAL_TOKENS, "Tokens that models took in and gave out."),
            )
        ]

    def count(self) -> bool:
        """Counts what waits. False where nothing did."""
        sums: dict[tuple[str, str], list[int]] = {}
        counted = False
        while self._waiting:
            call = self._waiting.popleft()
            counted = True
            self._count(call)
            if call.input_tokens is not None and call.output_tokens is not None:
                of_model = sums.setdefault((call.provider, call.model), [0, 0])
                of_model[0] += call.input_tokens
                of_model[1] += call.output_tokens
        for (provider, model), (taken, given) in sums.items():
            labels = {names.MODEL_ID: f"{provider}/{model}", names.PROVIDER_ID: provider}
            for counter, tokens in zip(self._sums, (taken, given, taken + given), strict=True):
                counter.add(tokens, labels)
        return counted

    def _count(self, call: MeasuredCall) -> None:
        labels: dict[str, AttributeValue] = {
            names.GEN_AI_OPERATION_NAME: names.CHAT,
            names.GEN_AI_PROVIDER_NAME: call.provider,
            names.GEN_AI_REQUEST_MODEL: call.model,
        }
        if call.response_model:
            labels[names.GEN_AI_RESPONSE_MODEL] = call.response_model
        if call.address:
            labels |= {names.SERVER_ADDRESS: call.address, names.SERVER_PORT: call.port}
        failed = {names.ERROR_TYPE: call.error} if call.error else {}
        self._durations.record(call.duration_s, labels | failed)
        if call.input_tokens is not None:
            self._tokens.record(call.input_tokens, labels | {names.GEN_AI_TOKEN_TYPE: "input"})
        if call.output_tokens is not None:
            self._tokens.record(call.output_tokens, labels | {names.GEN_AI_TOKEN_TYPE: "output"})

    def stop(self) -> None:
        """Takes nothing any more."""
        self._enabled = False
        self._waiting.clear()

    def close(self, timeout_s: float) -> None:
        """Has external readers send what is left."""
        if self._provider is not None:
            self._provider.shutdown(timeout_millis=timeout_s * 1000)
