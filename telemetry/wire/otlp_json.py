"""OTLP's messages in JSON, limited to the fields that are read. Attributes stay text until they are needed.

Names are those of the protobuf messages. 64-bit integers may be numbers or texts, enumerations numbers or
names, and null means absent.
"""

from __future__ import annotations

from msgspec import Raw, Struct

Integer = int | str | float | None
Number = float | int | str | None


class _Message(Struct, rename="camel", gc=False):
    """Instances contain no reference cycles, so garbage collection is not needed."""


class AnyValue(_Message):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: Integer = None
    double_value: Number = None
    array_value: ArrayValue | None = None
    kvlist_value: KeyValueList | None = None
    bytes_value: str | None = None


class ArrayValue(_Message):
    values: list[AnyValue] | None = None


class KeyValueList(_Message):
    values: list[KeyValue] | None = None


class KeyValue(_Message):
    key: str = ""
    value: AnyValue | None = None


class Resource(_Message):
    attributes: list[Raw] | None = None
    dropped_attributes_count: Integer = 0


class Scope(_Message):
    name: str | None = None
    version: str | None = None
    attributes: list[Raw] | None = None
    dropped_attributes_count: Integer = 0


class Status(_Message):
    message: str | None = None
    code: Integer = 0


class Event(_Message):
    time_unix_nano: Integer = 0
    name: str | None = None
    attributes: list[Raw] | None = None
    dropped_attributes_count: Integer = 0


class Link(_Message):
    trace_id: str | None = None
    span_id: str | None = None
    trace_state: str | None = None
    flags: Integer = 0
    attributes: list[Raw] | None = None
    dropped_attributes_count: Integer = 0


class Span(_Message):
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    trace_state: str | None = None
    flags: Integer = 0
    name: str | None = None
    kind: Integer = 0
    start_time_unix_nano: Integer = 0
    end_time_unix_nano: Integer = 0
    attributes: list[Raw] | None = None
    dropped_attributes_count: Integer = 0
    events: list[Event] | None = None
    dropped_events_count: Integer = 0
    links: list[Link] | None = None
    dropped_links_count: Integer = 0
    status: Status | None = None


class ScopeSpans(_Message):
    scope: Scope | None = None
    spans: list[Span] | None = None
    schema_url: str | None = None


class ResourceSpans(_Message):
    resource: Resource | None = None
    scope_spans: list[ScopeSpans] | None = None
    schema_url: str | None = None


class TracesData(_Message):
    resource_spans: list[ResourceSpans] | None = None


class NumberDataPoint(_Message):
    attributes: list[Raw] | None = None
    start_time_unix_nano: Integer = 0
    time_unix_nano: Integer = 0
    as_double: Number = None
    as_int: Integer = None
    flags: Integer = 0


class HistogramDataPoint(_Message):
    attributes: list[Raw] | None = None
    start_time_unix_nano: Integer = 0
    time_unix_nano: Integer = 0
    count: Integer = 0
    sum: Number = None
    bucket_counts: list[Integer] | None = None
    explicit_bounds: list[Number] | None = None
    flags: Integer = 0
    min: Number = None
    max: Number = None


class Buckets(_Message):
    offset: Integer = 0
    bucket_counts: list[Integer] | None = None


class ExponentialHistogramDataPoint(_Message):
    attributes: list[Raw] | None = None
    start_time_unix_nano: Integer = 0
    time_unix_nano: Integer = 0
    count: Integer = 0
    sum: Number = None
    scale: Integer = 0
    zero_count: Integer = 0
    positive: Buckets | None = None
    negative: Buckets | None = None
    flags: Integer = 0
    min: Number = None
    max: Number = None
    zero_threshold: Number = 0


class ValueAtQuantile(_Message):
    quantile: Number = 0
    value: Number = 0


class SummaryDataPoint(_Message):
    attributes: list[Raw] | None = None
    start_time_unix_nano: Integer = 0
    time_unix_nano: Integer = 0
    count: Integer = 0
    sum: Number = 0
    quantile_values: list[ValueAtQuantile] | None = None
    flags: Integer = 0


class Gauge(_Message):
    data_points: list[NumberDataPoint] | None = None


class Sum(_Message):
    data_points: list[NumberDataPoint] | None = None
    aggregation_temporality: Integer = 0
    is_monotonic: bool | None = None


class Histogram(_Message):
    data_points: list[HistogramDataPoint] | None = None
    aggregation_temporality: Integer = 0


class ExponentialHistogram(_Message):
    data_points: list[ExponentialHistogramDataPoint] | None = None
    aggregation_temporality: Integer = 0


class Summary(_Message):
    data_points: list[SummaryDataPoint] | None = None


class Metric(_Message):
    name: str | None = None
    description: str | None = None
    unit: str | None = None
    gauge: Gauge | None = None
    sum: Sum | None = None
    histogram: Histogram | None = None
    exponential_histogram: ExponentialHistogram | None = None
    summary: Summary | None = None


class ScopeMetrics(_Message):
    scope: Scope | None = None
    metrics: list[Metric] | None = None
    schema_url: str | None = None


class ResourceMetrics(_Message):
    resource: Resource | None = None
    scope_metrics: list[ScopeMetrics] | None = None
    schema_url: str | None = None


class MetricsData(_Message):
    resource_metrics: list[ResourceMetrics] | None = None


class LogRecord(_Message):
    time_unix_nano: Integer = 0
    observed_time_unix_nano: Integer = 0
    severity_number: Integer = 0
    severity_text: str | None = None
    body: AnyValue | None = None
    attributes: list[Raw] | None = None
    dropped_attributes_count: Integer = 0
    flags: Integer = 0
    trace_id: str | None = None
    span_id: str | None = None
    event_name: str | None = None


class ScopeLogs(_Message):
    scope: Scope | None = None
    log_records: list[LogRecord] | None = None
    schema_url: str | None = None


class ResourceLogs(_Message):
    resource: Resource | None = None
    scope_logs: list[ScopeLogs] | None = None
    schema_url: str | None = None


class LogsData(_Message):
    resource_logs: list[ResourceLogs] | None = None
