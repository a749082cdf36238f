"""The server's own metrics: model calls, agent invocations and tool calls.

Recording is an append; a thread counts (see `in_process.py`).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from opentelemetry.sdk.resources import Resource

from telemetry.own.instruments import Instruments, emits_earlier_names

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader

logger = logging.getLogger("replaystack.tracing")

MAX_WAITING = 65_536


class MeasuredCall(Struct):
    """A call of a model. `ended` unless its caller gave it up; tokens are None if the model server did not say how many,
    `first_chunk_s` if the answer was not streamed."""

    provider: str
    model: str
    address: str
    port: int
    response_model: str = ""
    error: str = ""
    duration_s: float = 0.0
    first_chunk_s: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    ended: bool = False


class MeasuredInvocation(Struct):
    """An invocation of an agent; `agent` is its name, empty if it has none."""

    agent: str
    model: str
    error: str = ""
    duration_s: float = 0.0
    inference_calls: int = 0
    tool_calls: int = 0


class MeasuredTool(Struct):
    """A tool that ran. `kind` is `gen_ai.tool.type`."""

    tool: str
    kind: str
    agent: str
    duration_s: float


Measured = MeasuredCall | MeasuredInvocation | MeasuredTool


class Metrics:
    """`record` from any thread; `open`, `count` and `close` from the one that exports."""

    def __init__(self, enabled: bool = True) -> None:
        self._enabled = enabled
        self._waiting: deque[Measured] = deque()
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

    def record(self, one: Measured) -> None:
        """Never blocks: what is too much is dropped and counted."""
        if not self._enabled:
            return
        if len(self._waiting) >= MAX_WAITING:
            self.dropped += 1
            return
        self._waiting.append(one)
        self.wake()

    def open(self, resource: Resource, readers: Sequence[MetricReader], version: str) -> None:
        """Makes the instruments. Imports the SDK's part for metrics, which takes 40 ms."""
        from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider

        self._provider = MeterProvider(
            readers, resource, exemplar_filter=AlwaysOffExemplarFilter(), shutdown_on_exit=False
        )
        meter = self._provider.get_meter("replaystack", version)
        self._instruments = Instruments(meter, emits_earlier_names())

    def count(self) -> bool:
        """Counts what waits. Returns False if nothing did."""
        counted = False
        while self._waiting:
            counted = True
            match self._waiting.popleft():
                case MeasuredCall() as call:
                    self._instruments.call(call)
                case MeasuredInvocation() as invocation:
                    self._instruments.invocation(invocation)
                case MeasuredTool() as tool:
                    self._instruments.tool(tool)
        if counted:
            self._instruments.flush()
        return counted

    def stop(self) -> None:
        """Takes nothing any more."""
        self._enabled = False
        self._waiting.clear()

    def close(self, timeout_s: float) -> None:
        """Has external readers send what is left."""
        if self._provider is not None:
            self._provider.shutdown(timeout_millis=timeout_s * 1000)
