"""Stores the server's own spans and metrics in its own store, encoded as OTLP like those of other senders.

An ended span waits up to half a second for others, so that a busy server writes few large requests; `flush`
ends the wait for readers. Everything here runs in one thread: no turn waits for it, and data that cannot be
stored is dropped and counted.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Literal

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from telemetry.own import external
from telemetry.own.encode import encode_spans
from telemetry.own.metrics import Metrics

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricReader

logger = logging.getLogger("replaystack.tracing")

Submit = Callable[[Literal["traces", "metrics"], bytes], None]
"""Stores an OTLP request in protobuf and returns when it is durable. Raises an error if it cannot be
stored."""

LINGER_S = 0.5
MAX_WAITING = 8192
METRICS_EVERY_S = 10.0
"""Interval in seconds at which metrics are stored without a reader, if anything was counted."""
SLICE = 64
"""Number of spans that are encoded at a time, about 1 ms, before the event loop may run."""
REQUEST = 16 * SLICE
"""Maximum number of spans in one request."""
ATTEMPTS_S = (0.2, 1.0, None)
WARN_EVERY_S = 60.0


class InProcess(SpanProcessor):
    """A span processor and its thread. Without a store (`submit` is None) it only counts metrics, for an
    external collector."""

    def __init__(self, metrics: Metrics, resource: Resource, version: str) -> None:
        self._metrics = metrics
        self._resource = resource
        self._version = version
        self._submit: Submit | None = None
        self._spans: deque[ReadableSpan] = deque()
        self._flushes: deque[tuple[Future[None], bool]] = deque()
        self._pending = threading.Event()
        self._hurry = threading.Event()
        self._busy = False
        self._uncollected = False
        self._ending = False
        self._warned_at = float("-inf")
        self._reader: InMemoryMetricReader | None = None
        self._thread = threading.Thread(target=self._run, name="own telemetry", daemon=True)
        self.dropped = 0
        metrics.wake = self._wake

    def start(self, submit: Submit | None) -> None:
        """Starts to store; earlier spans have been kept."""
        self._submit = submit
        self._thread.start()

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is None or not span.context.trace_flags.sampled or self._ending:
            return
        if len(self._spans) >= MAX_WAITING:
            self.dropped += 1
            return
        self._spans.append(span)
        self._wake()

    def _wake(self) -> None:
        if not self._pending.is_set():
            self._pending.set()

    def flush(self, metrics: bool = True) -> Future[None] | None:
        """Returns a future that is done when everything that has ended so far is stored, with `metrics` also
        the counts; None if it already is."""
        left = self._spans or self._busy or (metrics and (self._metrics.waiting or self._uncollected))
        if not left or not self._thread.is_alive():
            return None
        flushed: Future[None] = Future()
        self._flushes.append((flushed, metrics))
        self._hurry.set()
        self._pending.set()
        return flushed

    def shutdown(self, timeout_s: float = 3.0) -> None:
        """Stores the remaining data. Gives up after `timeout_s` seconds."""
        if self._ending:
            return
        self._ending = True
        self._hurry.set()
        self._pending.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                logger.warning("the server's own telemetry was not stored within %.0f s", timeout_s)

    def force_flush(self, timeout_millis: int = 3000) -> bool:
        flushed = self.flush()
        if flushed is not None:
            flushed.result(timeout_millis / 1000)
        return True

    def _run(self) -> None:
        collect_at = time.monotonic() + METRICS_EVERY_S
        while True:
            self._pending.wait(max(0.0, collect_at - time.monotonic()) if self._uncollected else None)
            if not self._ending:
                self._hurry.wait(LINGER_S)
            # Events from here on set these again.
            self._busy = True
            self._pending.clear()
            self._hurry.clear()
            flushes = [self._flushes.popleft() for _ in range(len(self._flushes))]
            asked = any(metrics for _, metrics in flushes)
            due = asked or self._ending or time.monotonic() >= collect_at
            try:
                self._store_spans()
                if self._store_metrics(due):
                    collect_at = time.monotonic() + METRICS_EVERY_S
            except Exception:
                logger.exception("the server's own telemetry could not be encoded")
            self._busy = False
            self._warn()
            for flushed, _ in flushes:
                if flushed.set_running_or_notify_cancel():
                    flushed.set_result(None)
            if self._ending and not self._spans:
                self._metrics.close(1.0)
                return

    def _store_spans(self) -> None:
        """Stores the spans that are waiting now. Later ones wait for others again; otherwise a busy server
        would never stop."""
        left = len(self._spans)
        while left:
            spans = [self._spans.popleft() for _ in range(min(left, REQUEST))]
            left -= len(spans)
            if self._submit is not None:
                self._hand_over("traces", _encoded(spans), len(spans))

    def _store_metrics(self, due: bool) -> bool:
        """Counts the waiting records, and stores the counts if that is due. Returns whether they were
        stored."""
        if self._metrics.waiting:
            if not self._metrics.opened:
                self._open_metrics()
            self._uncollected = self._metrics.count() or self._uncollected
        if not (due and self._uncollected):
            return False
        self._uncollected = False
        data = self._reader.get_metrics_data() if self._reader is not None else None
        if data is not None:
            from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

            self._hand_over("metrics", encode_metrics(data).SerializeToString(), 0)
        return True

    def _open_metrics(self) -> None:
        """Called when there is something to count: the imports would add 0.1 s to the server's start."""
        from opentelemetry.sdk.metrics import Counter, Histogram
        from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader

        readers: list[MetricReader] = []
        try:
            if self._submit is not None:
                # The counts since the last export: an unchanged series produces no points.
                delta: dict[type, AggregationTemporality] = dict.fromkeys(
                    (Counter, Histogram), AggregationTemporality.DELTA
                )
                self._reader = InMemoryMetricReader(delta)
                readers.append(self._reader)
            outside = external.metric_reader()
            self._metrics.open(self._resource, [*readers, outside] if outside else readers, self._version)
        except Exception:
            logger.exception("metrics are not counted: a standard variable is wrong")
            self._metrics.stop()

    def _hand_over(self, signal: Literal["traces", "metrics"], request: bytes, spans: int) -> None:
        assert self._submit is not None
        for pause_s in ATTEMPTS_S:
            try:
                self._submit(signal, request)
                return
            except Exception as error:
                if pause_s is None or self._ending:
                    self.dropped += spans
                    logger.debug("own %s are not taken: %s", signal, error)
                    return
                time.sleep(pause_s)

    def _warn(self) -> None:
        """Logs at most one warning per minute."""
        dropped, now = self.dropped + self._metrics.dropped, time.monotonic()
        if dropped and now - self._warned_at >= WARN_EVERY_S:
            self._warned_at = now
            self.dropped = self._metrics.dropped = 0
            logger.warning("%d spans or measurements of the server itself were dropped", dropped)


def _encoded(spans: list[ReadableSpan]) -> bytes:
    """Encodes one request. Concatenated requests are one request: protobuf merges their lists."""
    parts = []
    for start in range(0, len(spans), SLICE):
        parts.append(encode_spans(spans[start : start + SLICE]))
        time.sleep(0)
    return b"".join(parts)
