"""The server's own signals: traces, model calls, metrics, and where they are sent."""

from __future__ import annotations

import asyncio
import logging

from telemetry.own import external, message_content, tracing
from telemetry.own.in_process import InProcess, Submit
from telemetry.own.invocation import Invocations
from telemetry.own.metrics import Metrics
from telemetry.own.model_call import ModelCalls, OnTokens

logger = logging.getLogger("replaystack.tracing")

FLUSH_TIMEOUT_S = 5.0


class Signals:
    """The signals of one server. With `own` they are stored in its own store once `start` was called; and
    they are sent to an external collector if the standard variables name one. `on_tokens` is called with the
    token counts of each model answer. `OTEL_SDK_DISABLED` disables both."""

    def __init__(
        self, version: str, instance_id: str, own: bool = True, on_tokens: OnTokens | None = None
    ) -> None:
        self._own = own and not external.is_disabled()
        counted = self._own or (external.exports_metrics() and not external.is_disabled())
        metrics = self.metrics = Metrics(enabled=counted)
        self._export: InProcess | None = None
        if counted:
            self._export = InProcess(metrics, tracing.resource_of(version, instance_id), version)
        processors = [self._export] if self._own and self._export is not None else []
        self.tracing = tracing.start(version, instance_id, processors)
        self.invocations = Invocations(metrics)
        self.calls = ModelCalls(self.tracing, metrics, message_content.is_captured(), on_tokens)

    def start(self, submit: Submit | None) -> None:
        """Starts to store. `submit` is called in a separate thread; None if there is no store."""
        if self._export is not None:
            self._export.start(submit if self._own else None)

    async def flushed(self, metrics: bool = False) -> None:
        """Returns when the server's spans that have ended so far are stored, with `metrics` also the counts;
        readers of the store call this first. If the store does not accept them, it returns after a short
        time."""
        flushed = self._export.flush(metrics) if self._export is not None else None
        if flushed is not None:
            try:
                await asyncio.wait_for(asyncio.wrap_future(flushed), FLUSH_TIMEOUT_S)
            except TimeoutError:
                logger.warning(
                    "own telemetry was not stored within %.0f s; a read continues without it", FLUSH_TIMEOUT_S
                )

    def close(self) -> None:
        """Stores the remaining data. Later spans are sent to external collectors only. Blocks for 3 s at
        most."""
        if self._export is not None:
            self._export.shutdown()

    def shutdown(self) -> None:
        """Sends the remaining data to external collectors. Blocks for 3 s at most."""
        self.tracing.shutdown()
