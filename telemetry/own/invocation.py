"""One invocation of an agent as measured by its metrics: its duration, and its calls."""

from __future__ import annotations

import time
from contextvars import ContextVar, Token
from types import TracebackType

from telemetry.own.metrics import MeasuredInvocation, MeasuredTool, Metrics

_current: ContextVar[Invocation | None] = ContextVar("invocation", default=None)


def inference_begun() -> None:
    """Counts a model call for the current invocation, if there is one."""
    invocation = _current.get()
    if invocation is not None:
        invocation.measured.inference_calls += 1


def tool_executed(tool: str, kind: str, duration_s: float) -> None:
    """Records that a tool ran, for the current invocation, if there is one."""
    invocation = _current.get()
    if invocation is not None:
        invocation.tool_called(tool, kind, duration_s)


class Invocations:
    """Starts invocations."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def begin(self, agent: str, model: str) -> Invocation:
        """Starts an invocation. `agent` is its name, empty if it has none; `model` is from the agent's
        configuration."""
        return Invocation(self._metrics, MeasuredInvocation(agent, model))


class Invocation:
    """An invocation, current while its `with` block runs. It is recorded at the end if `ended` was called:
    the duration of an interrupted invocation says nothing about the agent."""

    def __init__(self, metrics: Metrics, measured: MeasuredInvocation) -> None:
        self._metrics = metrics
        self._began = 0.0
        self._token: Token[Invocation | None] | None = None
        self.measured = measured
        self.ended = False

    def failed(self, error_type: str) -> None:
        self.measured.error = error_type

    def tool_called(self, tool: str, kind: str, duration_s: float | None) -> None:
        """Records that a call was answered. `duration_s` is None if no tool ran."""
        self.measured.tool_calls += 1
        if duration_s is not None:
            self._metrics.record(MeasuredTool(tool, kind, self.measured.agent, duration_s))

    def __enter__(self) -> Invocation:
        self._token = _current.set(self)
        self._began = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._token is not None
        _current.reset(self._token)
        if self.ended:
            self.measured.duration_s = time.perf_counter() - self._began
            self._metrics.record(self.measured)
