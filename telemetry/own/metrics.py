"""The server's own metrics: model calls, agent invocations, tool calls and steps of training.

Recording appends to a queue; a thread counts (see `in_process.py`).
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
    """A model call. `ended` is false if its caller cancelled it; tokens are None if the model server did not
    report them, `first_chunk_s` is None if the answer was not streamed."""

    provider: str
    model: str
    address: str
    port: int
    operation: str
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


class MeasuredSteps(Struct):
    """Consecutive steps of a training job: the duration of each, their trained tokens, and the last loss."""

    job_uuid: str
    model: str
    algorithm: str
    durations_s: list[float]
    tokens: int
    loss: float


Measured = MeasuredCall | MeasuredInvocation | MeasuredTool | MeasuredSteps


class Metrics:
    """Call `record` from any thread; `open`, `count` and `close` from the exporting thread."""

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
        """Never blocks: records that exceed the queue are dropped and counted."""
        if not self._enabled:
            return
        if len(self._waiting) >= MAX_WAITING:
            self.dropped += 1
            return
        self._waiting.append(one)
        self.wake()

    def open(self, resource: Resource, readers: Sequence[MetricReader], version: str) -> None:
        """Creates the instruments. Imports the SDK's metrics package, which takes 40 ms."""
        from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider

        self._provider = MeterProvider(
            readers, resource, exemplar_filter=AlwaysOffExemplarFilter(), shutdown_on_exit=False
        )
        meter = self._provider.get_meter("replaystack", version)
        self._instruments = Instruments(meter, emits_earlier_names())

    def count(self) -> bool:
        """Counts the waiting records. Returns False if there were none."""
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
                case MeasuredSteps() as steps:
                    self._instruments.steps(steps)
        if counted:
            self._instruments.flush()
        return counted

    def stop(self) -> None:
        """Stops accepting records."""
        self._enabled = False
        self._waiting.clear()

    def close(self, timeout_s: float) -> None:
        """Makes external readers send the remaining data."""
        if self._provider is not None:
            self._provider.shutdown(timeout_millis=timeout_s * 1000)
