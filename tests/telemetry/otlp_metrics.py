"""OTLP requests with metrics, made of plain values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric

from tests.telemetry.otlp_requests import key_values

TEMPORALITIES = {
    "delta": AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA,
    "cumulative": AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE,
}


class PlainPoint(Struct, kw_only=True):
    """A point of a metric. `value` is a number, or (count, sum, bounds, counts) of a histogram."""

    metric: str
    kind: str = "gauge"
    value: Any
    time_ns: int
    start_ns: int = 0
    labels: dict[str, Any] = {}
    unit: str = "1"
    temporality: str = "cumulative"
    monotonic: bool = True
    resource: dict[str, Any] = {}


def metrics_request(points: Sequence[PlainPoint]) -> bytes:
    """One request in protobuf, a metric for each point."""
    request = ExportMetricsServiceRequest()
    for plain in points:
        of_resource = request.resource_metrics.add()
        of_resource.resource.attributes.extend(key_values(plain.resource))
        metric = of_resource.scope_metrics.add().metrics.add(name=plain.metric, unit=plain.unit)
        point = _point(metric, plain)
        point.time_unix_nano = plain.time_ns
        point.start_time_unix_nano = plain.start_ns
        point.attributes.extend(key_values(plain.labels))
    return bytes(request.SerializeToString())


def _point(metric: Metric, plain: PlainPoint) -> Any:
    if plain.kind == "histogram":
        count, total, bounds, counts = plain.value
        metric.histogram.aggregation_temporality = TEMPORALITIES[plain.temporality]
        return metric.histogram.data_points.add(
            count=count, sum=total, explicit_bounds=bounds, bucket_counts=counts
        )
    if plain.kind == "sum":
        metric.sum.aggregation_temporality = TEMPORALITIES[plain.temporality]
        metric.sum.is_monotonic = plain.monotonic
        point: Any = metric.sum.data_points.add()
    else:
        point = metric.gauge.data_points.add()
    if isinstance(plain.value, int):
        point.as_int = plain.value
    else:
        point.as_double = plain.value
    return point
