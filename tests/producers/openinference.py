"""A program that asks for chat completions, instrumented by OpenInference's package for OpenAI's client.

    python -m tests.producers.openinference http://127.0.0.1:8321 scripted/text;chunks=3

Its spans go to the same server by OTLP. Prints the ids of its spans by name, as JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from openinference.instrumentation.openai import OpenAIInstrumentor
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from tests.producers.asking import Names, ask, exporting

RESOURCE = Resource({"service.name": "producer-openinference"})


def main(url: str, model: str) -> dict[str, Any]:
    names = Names()
    tracers = TracerProvider(resource=RESOURCE)
    tracers.add_span_processor(names)
    tracers.add_span_processor(exporting(url))
    OpenAIInstrumentor().instrument(tracer_provider=tracers)
    with trace.get_tracer("producer", tracer_provider=tracers).start_as_current_span("work"):
        ask(url, model)
    tracers.shutdown()
    return names.found


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
