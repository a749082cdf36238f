"""Exporters to an external collector, configured by the standard `OTEL_*` variables; none if they name no
endpoint.

All other configuration of an endpoint (headers, certificates, compression, timeouts) is read by the exporters
themselves. They are imported when needed: importing both kinds takes 0.2 s.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.trace.export import SpanExporter

logger = logging.getLogger("replaystack.tracing")

TRACES_ENDPOINT = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
METRICS_ENDPOINT = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
TRACES_PROTOCOL = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
METRICS_PROTOCOL = ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
TRACES_EXPORTER = "OTEL_TRACES_EXPORTER"
METRICS_EXPORTER = "OTEL_METRICS_EXPORTER"
DISABLED = "OTEL_SDK_DISABLED"

OTLP = "otlp"
GRPC = "grpc"
HTTP_PROTOBUF = "http/protobuf"


def is_disabled() -> bool:
    """Returns whether recording is switched off completely."""
    return os.environ.get(DISABLED, "").strip().lower() == "true"


def exports_metrics() -> bool:
    """Returns whether metrics are sent to a collector."""
    return bool(_first(METRICS_ENDPOINT)) and _wants_otlp(METRICS_EXPORTER)


def span_exporter() -> SpanExporter | None:
    if not _first(TRACES_ENDPOINT) or not _wants_otlp(TRACES_EXPORTER):
        return None
    if _protocol(TRACES_PROTOCOL) == GRPC:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

        return GrpcExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

    return HttpExporter()


def metric_reader() -> MetricReader | None:
    """Returns a reader that sends metrics every minute, or at the interval of
    `OTEL_METRIC_EXPORT_INTERVAL`."""
    if not exports_metrics():
        return None
    from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader

    exporter: MetricExporter
    if _protocol(METRICS_PROTOCOL) == GRPC:
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter

        exporter = GrpcExporter()
    else:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpExporter

        exporter = HttpExporter()
    return PeriodicExportingMetricReader(exporter)


def _wants_otlp(variable: str) -> bool:
    """Returns whether the variable lists OTLP among the exporters, or lists none, which means OTLP."""
    listed = [name.strip().lower() for name in os.environ.get(variable, "").split(",") if name.strip()]
    for name in listed:
        if name not in (OTLP, "none"):
            logger.warning("%s: the exporter %r is unknown here; there are otlp and none", variable, name)
    return not listed or OTLP in listed


def _protocol(variables: Sequence[str]) -> str:
    protocol = _first(variables) or HTTP_PROTOBUF
    if protocol not in (GRPC, HTTP_PROTOBUF):
        logger.warning("OTLP protocol %r is unknown; http/protobuf is used", protocol)
        return HTTP_PROTOBUF
    return protocol


def _first(variables: Sequence[str]) -> str:
    return next((os.environ[name].strip() for name in variables if os.environ.get(name, "").strip()), "")
