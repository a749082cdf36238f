"""A span sent with the OpenTelemetry SDK (`pip install opentelemetry-sdk opentelemetry-exporter-otlp`), and read back."""

import json
import os
import urllib.request

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

url = os.environ.get("SERVER_URL", "http://127.0.0.1:8321")
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"{url}/v1/traces")))
with provider.get_tracer("example").start_as_current_span("lunch", attributes={"guests": 3}) as span:
    trace_id = f"{span.get_span_context().trace_id:032x}"
provider.shutdown()

with urllib.request.urlopen(f"{url}/v1alpha/telemetry/traces/{trace_id}") as answer:
    print(json.load(answer)["trace_id"] == trace_id)
