"""The common part of the producers: one chat completion whole and one streamed, and spans to a server by
OTLP."""

from __future__ import annotations

from typing import Any

import openai
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import inject
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor


class Names(SpanProcessor):
    """Remembers the spans that ended: name, trace id, span id, parent and attributes of each."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []

    def on_end(self, span: ReadableSpan) -> None:
        context, parent = span.context, span.parent
        assert context is not None
        self.found.append(
            {
                "name": span.name,
                "trace_id": f"{context.trace_id:032x}",
                "span_id": f"{context.span_id:016x}",
                "parent_span_id": f"{parent.span_id:016x}" if parent else "",
                "attributes": dict(span.attributes or {}),
            }
        )


def exporting(url: str) -> BatchSpanProcessor:
    return BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces"))


def ask(url: str, model: str) -> None:
    """Each request carries the trace in which it is sent, as an instrumented HTTP client has it."""
    client = openai.DefaultHttpxClient(event_hooks={"request": [lambda request: inject(request.headers)]})
    messages: Any = [{"role": "user", "content": "Hello"}]
    with openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0, http_client=client) as asking:
        asking.chat.completions.create(model=model, messages=messages, temperature=0.5)
        stream = asking.chat.completions.create(
            model=model, messages=messages, stream=True, stream_options={"include_usage": True}
        )
        for _ in stream:
            pass
