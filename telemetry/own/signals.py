"""Everything that the server says of itself: traces, calls of models, metrics, and where they go."""

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
    """Of one server. With `own` they go into its own store, once `start` has said where that is; and to an external
    collector where the standard variables name one. `on_tokens` hears what each answer of a model took. `OTEL_SDK_DISABLED` ends both."""

    def __init__(
        self, version: str, instance_id: str, own: bool = True, on_tokens: OnTokens | None = None
    ) -> None:
        self._own = own and not external.is_disabled()
        counted = self._own or (external.exports_metrics() and not external.is_disabled())
        metrics = Metrics(enabled=counted)
        self._export: InProcess | None = None
        if counted:
            self._export = InProcess(metrics, tracing.resource_of(version, instance_id), version)
        processors = [self._export] if self._own and self._export is not None else []
        self.tracing = tracing.start(version, instance_id, processors)
        self.invocations = Invocations(metrics)
        self.calls = ModelCalls(self.tracing, metrics, message_content.is_captured(), on_tokens)

    def start(self, submit: Submit | None) -> None:
        """Begins to hand over. `submit` is called in a thread of its own; None where there is no store."""
        if self._export is not None:
            self._export.start(submit if self._own else None)

    async def flushed(self, metrics: bool = False) -> None:
        """Returns once the own spans that have ended by now were handed over, with `metrics` what was counted too; a
        reader of the store waits for this first. A store that does not take them holds no one up for long."""
        flushed = self._export.flush(metrics) if self._export is not None else None
        if flushed is not None:
            try:
                await asyncio.wait_for(asyncio.wrap_future(flushed), FLUSH_TIMEOUT_S)
            except TimeoutError:
                logger.warning(
                    "own telemetry was not stored within %.0f s; a read continues without it", FLUSH_TIMEOUT_S
                )

    def close(self) -> None:
        """Hands over what is left. What ends later goes to external collectors only. Blocks for 3 s at most."""
        if self._export is not None:
            self._export.shutdown()

    def shutdown(self) -> None:
        """Sends what is left to external collectors. Blocks for 3 s at most."""
        self.tracing.shutdown()
