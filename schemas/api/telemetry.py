"""Requests and responses about traces, spans, log records and metrics (spec tag: Telemetry)."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Raw, Struct

QueryConditionOp = Literal["eq", "ne", "gt", "lt"]
SpanStatus = Literal["ok", "error"]
MetricQueryType = Literal["range", "instant"]
MatchOperator = Literal["=", "!=", "=~", "!~"]


class QueryCondition(Struct, frozen=True, forbid_unknown_fields=True):
    """A condition on a span. `key` is the name of an attribute, `resource.<name>`, or one of the span's own
    fields; a null `value` means that the key is missing."""

    key: str
    op: QueryConditionOp
    value: Any


class QueryTracesRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A trace matches if each filter matches at least one of its spans. `limit` is 100 by default, -1 means
    all."""

    attribute_filters: list[QueryCondition] | None = None
    limit: int | None = None
    offset: int | None = None
    order_by: list[str] | None = None


class Trace(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A trace. `root_span_id` is the earliest span whose parent is not in the trace."""

    trace_id: str
    root_span_id: str
    start_time: str
    end_time: str | None = None


class QueryTracesResponse(Struct, frozen=True):
    data: list[Trace]


class TraceDetails(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A trace with a summary. Not part of the Llama Stack specification: `POST .../traces?details=true`.

    `name` is that of the root span, `service` its resource's `service.name`. Tokens and models are those of
    the model calls.
    """

    trace_id: str
    root_span_id: str
    start_time: str
    end_time: str | None = None
    name: str
    service: str = ""
    status: SpanStatus
    span_count: int
    error_count: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    models: list[str] = []


class TraceDetailsResponse(Struct, frozen=True):
    data: list[TraceDetails]


class Span(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A span. `attributes` is a JSON object, kept as JSON text. In it NaN and the infinities are the strings
    `"NaN"`, `"Infinity"` and `"-Infinity"`, and bytes are base64."""

    span_id: str
    trace_id: str
    parent_span_id: str | None = None
    name: str
    start_time: str
    end_time: str | None = None
    attributes: Raw | None = None


class SpanWithStatus(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A `Span` with its status. A status that was never set is `ok`."""

    span_id: str
    trace_id: str
    parent_span_id: str | None = None
    name: str
    start_time: str
    end_time: str | None = None
    attributes: Raw | None = None
    status: SpanStatus | None = None


class SpanScope(Struct, frozen=True, omit_defaults=True):
    """The library that produced a span."""

    name: str = ""
    version: str = ""
    attributes: Raw | None = None


class SpanEvent(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An event that occurred during a span, such as an exception."""

    time: str
    name: str
    attributes: Raw | None = None


class SpanLink(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A reference to a related span."""

    trace_id: str
    span_id: str
    trace_state: str = ""
    attributes: Raw | None = None


class SpanDetails(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A span with the fields that the contract's `Span` lacks. Not part of the Llama Stack specification:
    `GET .../traces/{trace_id}/spans`.

    `operation`, `provider`, `model` and the tokens are read from the attributes of any supported convention.
    """

    span_id: str
    trace_id: str
    parent_span_id: str | None = None
    name: str
    kind: str
    start_time: str
    end_time: str | None = None
    status: SpanStatus
    status_message: str = ""
    attributes: Raw | None = None
    events: list[SpanEvent] = []
    links: list[SpanLink] = []
    resource: Raw | None = None
    scope: SpanScope | None = None
    operation: str = ""
    provider: str = ""
    model: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None


class TraceSpansResponse(Struct, frozen=True, omit_defaults=True):
    """The spans of a trace, ordered by time, and the tokens of the trace."""

    data: list[SpanDetails]
    input_tokens: int | None = None
    output_tokens: int | None = None


class QueryLogsRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Log records that match all filters. `limit` is 100 by default, -1 means all."""

    attribute_filters: list[QueryCondition] | None = None
    limit: int | None = None
    offset: int | None = None
    order_by: list[str] | None = None


class LogRecord(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A log record as it was sent; fields that were not sent are absent. Not part of the Llama Stack
    specification.

    `time` is the time of observation if the sender gave no other. `severity_number` is OpenTelemetry's: 1 to
    4 trace, 5 debug, 9 info, 13 warn, 17 error, 21 fatal. `body` is any JSON value; bytes in it are base64.
    """

    time: str | None = None
    observed_time: str | None = None
    severity_number: int = 0
    severity_text: str = ""
    event_name: str = ""
    body: Raw | None = None
    attributes: Raw | None = None
    dropped_attributes_count: int = 0
    flags: int = 0
    trace_id: str | None = None
    span_id: str | None = None
    resource: Raw | None = None
    scope: SpanScope | None = None


class QueryLogsResponse(Struct, frozen=True):
    data: list[LogRecord]


class QuerySpansRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Spans that match all filters; with a `max_depth` above 1 also their descendants. Without
    `attributes_to_return` all attributes are returned."""

    attribute_filters: list[QueryCondition]
    attributes_to_return: list[str]
    max_depth: int | None = None


class QuerySpansResponse(Struct, frozen=True):
    data: list[Span]


class GetSpanTreeRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A span and its descendants. `max_depth` 1 means the span alone; without it all descendants are
    returned."""

    attributes_to_return: list[str] | None = None
    max_depth: int | None = None


class QuerySpanTreeResponse(Struct, frozen=True):
    """Spans by id, each one before its descendants."""

    data: dict[str, SpanWithStatus]


class SaveSpansToDatasetRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Appends the spans that `QuerySpansRequest` finds to a dataset, one row per span."""

    attribute_filters: list[QueryCondition]
    attributes_to_save: list[str]
    dataset_id: str
    max_depth: int | None = None


class MetricLabelMatcher(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A condition on a label. `=~` and `!~` take a pattern that must match the whole value."""

    name: str
    value: str
    operator: MatchOperator = "="


class QueryMetricsRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Times are in seconds since 1970; `end_time` defaults to now. `granularity` is a number followed by `s`,
    `m`, `h` or `d`; without it a range query returns the points as they were recorded."""

    start_time: int
    end_time: int | None = None
    granularity: str | None = None
    query_type: MetricQueryType
    label_matchers: list[MetricLabelMatcher] | None = None


class MetricDataPoint(Struct, frozen=True):
    """`timestamp` is in seconds since 1970. A `value` that JSON cannot express as a number is the string
    `"NaN"`, `"Infinity"` or `"-Infinity"`."""

    timestamp: int
    value: float | str
    unit: str


class MetricLabel(Struct, frozen=True):
    name: str
    value: str


class MetricSeries(Struct, frozen=True):
    metric: str
    labels: list[MetricLabel]
    values: list[MetricDataPoint]


class QueryMetricsResponse(Struct, frozen=True):
    data: list[MetricSeries]
