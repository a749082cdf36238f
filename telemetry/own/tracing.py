"""The server's own traces: spans in OpenTelemetry's form, with W3C trace context from callers and to
upstreams.

Ended spans are passed to the configured processors (`in_process.py`), and to a collector named by the
standard variables. OpenTelemetry's process-wide provider is not changed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from contextvars import Token
from types import TracebackType

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.sdk.version import __version__ as SDK_VERSION
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    TraceState,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from telemetry.own import conventions, external
from telemetry.own.recorded_span import Recorder

logger = logging.getLogger("replaystack.tracing")

SERVICE_NAME = "replaystack"

_propagator = TraceContextTextMapPropagator()
_ids = RandomIdGenerator()


class ActiveSpan:
    """A span that is current while its `with` block runs, and ends with it.

    An exception that leaves the block marks the span as failed with its type; its message is left out.
    """

    __slots__ = ("_span", "_token")

    def __init__(self, span: Span) -> None:
        self._span = span
        self._token: Token[Context] | None = None

    @property
    def trace_id(self) -> str:
        """The trace id as 32 hex digits."""
        return f"{self._span.get_span_context().trace_id:032x}"

    @property
    def traceparent(self) -> str:
        """The W3C header value that continues this span."""
        return _traceparent(self._span.get_span_context())

    @property
    def tracestate(self) -> str:
        """The `tracestate` header, passed on unchanged; empty if there is none."""
        return _tracestate(self._span.get_span_context())

    def set(self, name: str, value: AttributeValue | None) -> None:
        """Sets an attribute unless the value is None."""
        if value is not None:
            self._span.set_attribute(name, value)

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def fail(self, error_type: str) -> None:
        self._span.set_attribute(conventions.ERROR_TYPE, error_type)
        self._span.set_status(StatusCode.ERROR)

    def __enter__(self) -> ActiveSpan:
        self._token = context_api.attach(trace.set_span_in_context(self._span))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._token is not None
        # A generator may be closed in another context than the one in which it was started; there, no span is
        # current.
        if trace.get_current_span() is self._span:
            context_api.detach(self._token)
        if isinstance(error, Exception):
            self.fail(type(error).__name__)
        self._span.end()


class Tracing:
    """Starts spans. Without a recorder (`OTEL_SDK_DISABLED`) nothing is recorded, but ids are still
    generated."""

    def __init__(self, recorder: Recorder | None) -> None:
        self._recorder = recorder

    def server_span(
        self,
        method: str,
        path: str = "",
        scheme: str = "http",
        traceparent: str = "",
        tracestate: str = "",
        recorded: bool = True,
    ) -> ActiveSpan:
        """Starts the span of one request. Its name is the method until the route is known; a malformed
        `traceparent` is ignored, as the W3C recommendation requires. Without `recorded` it only has ids."""
        parent = _extracted(traceparent, tracestate) if traceparent else Context()
        if not recorded:
            return ActiveSpan(_unrecorded(parent))
        attributes: dict[str, AttributeValue] = {
            conventions.ROOT: True,
            conventions.HTTP_REQUEST_METHOD: method,
            conventions.URL_PATH: path,
            conventions.URL_SCHEME: scheme,
        }
        return ActiveSpan(self._start(method, SpanKind.SERVER, attributes, parent))

    def span(
        self,
        name: str,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, AttributeValue] | None = None,
        traceparent: str = "",
        tracestate: str = "",
    ) -> ActiveSpan:
        """Starts a span under `traceparent`, one of this server's own, if given, otherwise under the current
        span."""
        parent = _below(traceparent, tracestate) if traceparent else None
        return ActiveSpan(self._start(name, kind, attributes or {}, parent))

    def _start(
        self,
        name: str,
        kind: SpanKind,
        attributes: Mapping[str, AttributeValue],
        parent: Context | None,
    ) -> Span:
        if self._recorder is None:
            return _unrecorded(parent)
        above = trace.get_current_span(parent).get_span_context()
        if not above.is_valid:
            attributes = {conventions.ROOT: True, **attributes}
        return self._recorder.start(name, above, parent, kind, attributes)

    def shutdown(self, timeout_s: float = 3.0) -> None:
        """Exports the remaining data. Gives up after `timeout_s` seconds: an unreachable collector must not
        block a shutdown."""
        if self._recorder is None:
            return
        ending = threading.Thread(target=self._recorder.shutdown, name="tracing shutdown", daemon=True)
        ending.start()
        ending.join(timeout_s)
        if ending.is_alive():
            logger.warning("spans were not exported within %.0f s and are lost", timeout_s)


def start(version: str, instance_id: str, processors: Sequence[SpanProcessor] = ()) -> Tracing:
    """Starts tracing as configured by the `OTEL_*` variables; ended spans are also passed to `processors`."""
    if external.is_disabled():
        return Tracing(None)
    exporter = external.span_exporter()
    outside = [BatchSpanProcessor(exporter)] if exporter is not None else []
    scope = InstrumentationScope(SERVICE_NAME, version)
    return Tracing(Recorder(resource_of(version, instance_id), scope, [*processors, *outside]))


def current_trace_id() -> str:
    """Returns the trace id of the current span as 32 hex digits; empty if there is no current span."""
    own = trace.get_current_span().get_span_context()
    return f"{own.trace_id:032x}" if own.is_valid else ""


def upstream_headers() -> dict[str, str]:
    """Returns the headers `traceparent` and `tracestate` that make an upstream call a child of the current
    span."""
    own = trace.get_current_span().get_span_context()
    headers = {"traceparent": _traceparent(own)} if own.is_valid else {}
    if own.trace_state:
        headers["tracestate"] = _tracestate(own)
    return headers


def _unrecorded(parent: Context | None) -> Span:
    """Returns a span that only has ids, in the trace of its parent."""
    above = trace.get_current_span(parent).get_span_context()
    trace_id = above.trace_id if above.is_valid else _ids.generate_trace_id()
    flags = above.trace_flags if above.is_valid else TraceFlags(TraceFlags.DEFAULT)
    return NonRecordingSpan(SpanContext(trace_id, _ids.generate_span_id(), False, flags, above.trace_state))


def _traceparent(own: SpanContext) -> str:
    return f"00-{own.trace_id:032x}-{own.span_id:016x}-{own.trace_flags:02x}"


def _tracestate(own: SpanContext) -> str:
    return own.trace_state.to_header() if own.trace_state else ""


def _below(traceparent: str, tracestate: str) -> Context:
    """Returns the context of one of the server's own spans, without validating it."""
    state = TraceState.from_header([tracestate]) if tracestate else None
    flags = TraceFlags(int(traceparent[53:55], 16))
    own = SpanContext(int(traceparent[3:35], 16), int(traceparent[36:52], 16), False, flags, state)
    return trace.set_span_in_context(NonRecordingSpan(own), Context())


def _extracted(traceparent: str, tracestate: str) -> Context:
    """Returns the context that a caller sent; the library validates it."""
    return _propagator.extract({"traceparent": traceparent, "tracestate": tracestate}, Context())


def resource_of(version: str, instance_id: str) -> Resource:
    """Returns the resource of the signals: the server's, overridden by `OTEL_RESOURCE_ATTRIBUTES` and
    `OTEL_SERVICE_NAME`."""
    ours = Resource(
        {
            "service.name": SERVICE_NAME,
            "service.version": version,
            "service.instance.id": instance_id,
            "telemetry.sdk.language": "python",
            "telemetry.sdk.name": "opentelemetry",
            "telemetry.sdk.version": SDK_VERSION,
        }
    )
    return ours.merge(OTELResourceDetector().detect())
