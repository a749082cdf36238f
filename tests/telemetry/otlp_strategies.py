"""Requests of all shapes, made by hypothesis: whatever the messages can hold, much of it not allowed."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    InstrumentationScope,
    KeyValue,
    KeyValueList,
)
from opentelemetry.proto.logs.v1 import logs_pb2 as logs
from opentelemetry.proto.metrics.v1 import metrics_pb2 as metrics
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2 as traces

from tests.telemetry.otlp_requests import BASE_NS

text = st.text(max_size=8)
# All that are no number are one: JSON has no other.
real = st.floats(allow_nan=False) | st.just(math.nan)
count = st.sampled_from([0, 1, 7, 2**32 - 1])
times = st.sampled_from([BASE_NS] * 20 + [0, 1, 2**63 - 1, 2**63, 2**64 - 1])
trace_ids = st.sampled_from([bytes(range(16))] * 20 + [b"\xff" * 16, bytes(16), b"", b"abc", bytes(17)])
span_ids = st.sampled_from([bytes(range(8))] * 20 + [b"\xff" * 8, bytes(8), b"", b"abc", bytes(9)])


def key_values(values: st.SearchStrategy[AnyValue]) -> st.SearchStrategy[list[KeyValue]]:
    """The same key may be there twice."""
    return st.lists(st.builds(KeyValue, key=text, value=values), max_size=4)


any_values = st.recursive(
    st.just(AnyValue())
    | st.builds(AnyValue, bool_value=st.booleans())
    | st.builds(AnyValue, int_value=st.integers(-(2**63), 2**63 - 1))
    | st.builds(AnyValue, double_value=real)
    | st.builds(AnyValue, string_value=text)
    | st.builds(AnyValue, bytes_value=st.binary(max_size=8)),
    lambda values: (
        st.builds(AnyValue, array_value=st.builds(ArrayValue, values=st.lists(values, max_size=3)))
        | st.builds(AnyValue, kvlist_value=st.builds(KeyValueList, values=key_values(values)))
    ),
    max_leaves=5,
)
attributes = key_values(any_values)
resources = st.builds(Resource, attributes=attributes, dropped_attributes_count=count)
scopes = st.builds(
    InstrumentationScope, name=text, version=text, attributes=attributes, dropped_attributes_count=count
)


def _request(kinds: Any, signal: str, rows: str, row: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draws `Resource<Signal>` and `Scope<Signal>` messages."""
    of_scope = st.builds(
        getattr(kinds, f"Scope{signal}"), scope=scopes, schema_url=text, **{rows: st.lists(row, max_size=4)}
    )
    of_resource = st.builds(
        getattr(kinds, f"Resource{signal}"),
        resource=resources,
        schema_url=text,
        **{f"scope_{signal.lower()}": st.lists(of_scope, max_size=2)},
    )
    return st.builds(
        getattr(kinds, "TracesData" if signal == "Spans" else f"{signal}Data"),
        **{f"resource_{signal.lower()}": st.lists(of_resource, max_size=2)},
    )


spans = st.builds(
    traces.Span,
    trace_id=trace_ids,
    span_id=span_ids,
    parent_span_id=span_ids,
    trace_state=text,
    flags=count,
    name=text,
    kind=st.integers(0, 7),
    start_time_unix_nano=times,
    end_time_unix_nano=times,
    attributes=attributes,
    dropped_attributes_count=count,
    events=st.lists(
        st.builds(
            traces.Span.Event,
            time_unix_nano=times,
            name=text,
            attributes=attributes,
            dropped_attributes_count=count,
        ),
        max_size=2,
    ),
    dropped_events_count=count,
    links=st.lists(
        st.builds(
            traces.Span.Link,
            trace_id=trace_ids,
            span_id=span_ids,
            trace_state=text,
            flags=count,
            attributes=attributes,
            dropped_attributes_count=count,
        ),
        max_size=2,
    ),
    dropped_links_count=count,
    status=st.builds(traces.Status, code=st.integers(0, 3), message=text),
)
trace_requests = _request(traces, "Spans", "spans", spans)

log_records = st.builds(
    logs.LogRecord,
    time_unix_nano=times,
    observed_time_unix_nano=times,
    severity_number=st.integers(0, 26),
    severity_text=text,
    body=st.none() | any_values,
    attributes=attributes,
    dropped_attributes_count=count,
    flags=count,
    trace_id=trace_ids,
    span_id=span_ids,
    event_name=text,
)
log_requests = _request(logs, "Logs", "log_records", log_records)

_flags = st.sampled_from([0, 0, 0, 1, 2])
_point = {"attributes": attributes, "start_time_unix_nano": times, "time_unix_nano": times, "flags": _flags}
_extremes = {"sum": st.none() | real, "min": st.none() | real, "max": st.none() | real}
_counts = st.lists(st.integers(0, 3) | st.just(2**63), max_size=4)
numbers = (
    st.builds(metrics.NumberDataPoint, as_int=st.integers(-(2**63), 2**63 - 1), **_point)
    | st.builds(metrics.NumberDataPoint, as_double=real, **_point)
    | st.builds(metrics.NumberDataPoint, **_point)
)
histograms = st.builds(
    metrics.HistogramDataPoint,
    count=st.integers(0, 4),
    bucket_counts=_counts,
    explicit_bounds=st.lists(st.sampled_from([-math.inf, -1.0, 0.0, 1.5, math.inf, math.nan]), max_size=3),
    **_point,
    **_extremes,
)
_buckets = st.builds(
    metrics.ExponentialHistogramDataPoint.Buckets,
    offset=st.sampled_from([0, -3, 2**31 - 1, -(2**31)]),
    bucket_counts=_counts,
)
exponential_histograms = st.builds(
    metrics.ExponentialHistogramDataPoint,
    count=st.integers(0, 4),
    scale=st.sampled_from([0, 3, -10, 64, 65, 2**31 - 1, -(2**31)]),
    zero_count=st.integers(0, 2),
    positive=st.none() | _buckets,
    negative=st.none() | _buckets,
    zero_threshold=real,
    **_point,
    **_extremes,
)
summaries = st.builds(
    metrics.SummaryDataPoint,
    count=st.integers(0, 4) | st.just(2**64 - 1),
    sum=real,
    quantile_values=st.lists(
        st.builds(
            metrics.SummaryDataPoint.ValueAtQuantile,
            quantile=st.sampled_from([0.0, 0.5, 1.0, 2.0, math.nan]),
            value=real,
        ),
        max_size=3,
    ),
    **_point,
)


def _data(kind: Any, points: st.SearchStrategy[Any], **more: Any) -> st.SearchStrategy[Any]:
    return st.builds(kind, data_points=st.lists(points, max_size=3), **more)


_temporality = {"aggregation_temporality": st.integers(0, 3)}
_named = {"name": text, "description": text, "unit": text}
_metric = (
    st.builds(metrics.Metric, **_named)
    | st.builds(metrics.Metric, gauge=_data(metrics.Gauge, numbers), **_named)
    | st.builds(
        metrics.Metric,
        sum=_data(metrics.Sum, numbers, is_monotonic=st.booleans(), **_temporality),
        **_named,
    )
    | st.builds(metrics.Metric, histogram=_data(metrics.Histogram, histograms, **_temporality), **_named)
    | st.builds(
        metrics.Metric,
        exponential_histogram=_data(metrics.ExponentialHistogram, exponential_histograms, **_temporality),
        **_named,
    )
    | st.builds(metrics.Metric, summary=_data(metrics.Summary, summaries), **_named)
)
metric_requests = _request(metrics, "Metrics", "metrics", _metric)
