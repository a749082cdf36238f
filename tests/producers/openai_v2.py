"""A program that asks for chat completions, instrumented by OpenTelemetry's own package for OpenAI's client.

    python -m tests.producers.openai_v2 http://127.0.0.1:8321 scripted/text;chunks=3

Its spans and metrics go to the same server by OTLP. Prints the ids of its spans by name, as JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from tests.producers.asking import Names, ask, exporting

RESOURCE = Resource({"service.name": "producer-openai-v2"})


def main(url: str, model: str) -> dict[str, Any]:
    names = Names()
    tracers = TracerProvider(resource=RESOURCE)
    tracers.add_span_processor(names)
    tracers.add_span_processor(exporting(url))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{url}/v1/metrics"), 60_000)
    meters = MeterProvider([reader], RESOURCE)
    OpenAIInstrumentor().instrument(tracer_provider=tracers, meter_provider=meters)
    with trace.get_tracer("producer", tracer_provider=tracers).start_as_current_span("work"):
        ask(url, model)
    tracers.shutdown()
    meters.shutdown()
    return names.found


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
