"""Description of traces, spans, metrics and logs."""

from __future__ import annotations

from typing import Any

from schemas.api.telemetry import (
    GetSpanTreeRequest,
    LogRecord,
    MetricDataPoint,
    MetricLabelMatcher,
    QueryConditionOp,
    QueryLogsRequest,
    QueryLogsResponse,
    QueryMetricsRequest,
    QueryMetricsResponse,
    QuerySpansRequest,
    QuerySpansResponse,
    QuerySpanTreeResponse,
    QueryTracesRequest,
    QueryTracesResponse,
    SaveSpansToDatasetRequest,
    Span,
    SpanDetails,
    SpanEvent,
    SpanLink,
    SpanScope,
    SpanStatus,
    SpanWithStatus,
    Trace,
    TraceDetails,
    TraceSpansResponse,
)
from schemas.api.waterfall import Waterfall
from stack.http.spec.components import ANY_OBJECT, ANY_VALUE, Details, Schema, plain_default
from stack.http.spec.operation import Operation, Parameter

TAG = "Telemetry"

_MOMENT: Schema = {"format": "date-time"}
_TIMES = {"start_time": _MOMENT, "end_time": _MOMENT}
_ATTRIBUTES = {"attributes": ANY_OBJECT}

DETAILS: dict[type, Details] = {
    Trace: Details(notes=_TIMES),
    Span: Details(notes=_TIMES, schemas=_ATTRIBUTES),
    SpanWithStatus: Details(notes=_TIMES, schemas=_ATTRIBUTES),
    SpanDetails: Details(notes=_TIMES, schemas=_ATTRIBUTES | {"resource": ANY_OBJECT}),
    LogRecord: Details(
        notes={"time": _MOMENT, "observed_time": _MOMENT},
        schemas=_ATTRIBUTES | {"resource": ANY_OBJECT, "body": ANY_VALUE},
    ),
    SpanScope: Details(schemas=_ATTRIBUTES),
    SpanEvent: Details(notes={"time": _MOMENT}, schemas=_ATTRIBUTES),
    SpanLink: Details(schemas=_ATTRIBUTES),
    # NaN and the infinities, which are texts, are not in the contract.
    MetricDataPoint: Details(schemas={"value": {"type": "number"}}),
    MetricLabelMatcher: Details(
        required=frozenset(("operator",)), notes={"operator": plain_default("=")}, inline=True
    ),
}

NAMED: list[tuple[str, Any, Schema | None]] = [
    ("QueryConditionOp", QueryConditionOp, None),
    ("SpanStatus", SpanStatus, None),
]

_TELEMETRY = "/v1alpha/telemetry"
_TRACE = _TELEMETRY + "/traces/{trace_id}"
_FILTERS = (
    "A filter's key is an attribute's name exactly as it was sent, `resource.<name>`, or one of the span's own fields: "
    "`span.name`, `span.kind`, `span.status`, `span.duration_ms`, `span.start_time`, `trace_id`, `span_id`. An attribute "
    "that is named like one of these is `attributes.<name>`. Numbers compare with numbers and texts with texts; `ne` "
    "also matches where the key is missing, and a null value means that the key is missing."
)
_CUT = "The header `x-truncated: true` says that there were more than were returned."
_WITHOUT_A_BODY = "The answer has no body."

OPERATIONS = (
    Operation(
        method="post",
        path=_TELEMETRY + "/traces",
        id="query_traces",
        tag=TAG,
        summary="Query traces, the newest first.",
        description="A trace matches when each filter is met by some span of it. `order_by` takes `start_time`, "
        "`end_time`, `duration`, `name`, `status` and `span_count`, each with an optional `-` for the reverse. "
        f"`limit` is 100 where absent, -1 for all. {_FILTERS}",
        parameters=(
            Parameter(
                name="details",
                kind=bool,
                description="With `true` each trace also has "
                f"{', '.join(sorted(set(TraceDetails.__struct_fields__) - set(Trace.__struct_fields__)))}.",
                extension=True,
            ),
        ),
        body=QueryTracesRequest,
        answer=QueryTracesResponse,
        says="The traces.",
    ),
    Operation(
        method="get",
        path=_TRACE,
        id="get_trace",
        tag=TAG,
        summary="Read a trace.",
        answer=Trace,
        says="The trace.",
    ),
    Operation(
        method="get",
        path=_TRACE + "/spans",
        id="list_trace_spans",
        tag=TAG,
        summary="Read the spans of a trace with all that is known of them.",
        description="Not part of the Llama Stack specification. With kinds, events, links, resource, scope and tokens, in "
        f"the order of time. {_CUT}",
        answer=TraceSpansResponse,
        says="The spans.",
    ),
    Operation(
        method="get",
        path=_TRACE + "/waterfall",
        id="get_trace_waterfall",
        tag=TAG,
        summary="Read the spans of a trace in columns, for drawing.",
        description=f"Not part of the Llama Stack specification. {_CUT}",
        answer=Waterfall,
        says="The columns.",
    ),
    Operation(
        method="get",
        path=_TRACE + "/spans/{span_id}",
        id="get_span",
        tag=TAG,
        summary="Read a span of a trace.",
        answer=Span,
        says="The span.",
    ),
    Operation(
        method="post",
        path=_TELEMETRY + "/spans/{span_id}/tree",
        id="get_span_tree",
        tag=TAG,
        summary="Read a span and the descendants of it.",
        description="`max_depth` 1 is the span alone; without it all descendants of the span is returned. "
        f"`attributes_to_return` limits the attributes. {_CUT}",
        body=GetSpanTreeRequest,
        answer=QuerySpanTreeResponse,
        says="The spans by their ids, each one before the descendants of it.",
    ),
    Operation(
        method="post",
        path=_TELEMETRY + "/spans",
        id="query_spans",
        tag=TAG,
        summary="Query spans, the newest first.",
        description="Spans that meet all filters themselves; a `max_depth` above 1 adds the descendants of them. Without "
        f"`attributes_to_return` they have all their attributes. {_CUT} {_FILTERS}",
        body=QuerySpansRequest,
        answer=QuerySpansResponse,
        says="The spans.",
    ),
    Operation(
        method="post",
        path=_TELEMETRY + "/spans/export",
        id="export_spans",
        tag=TAG,
        summary="Save spans to a dataset: a row a span.",
        description="Finds spans as `query_spans` does and adds them to the dataset, which is created if it does not exist. "
        "A row holds `trace_id`, `span_id`, `parent_span_id`, `name`, `start_time`, `end_time` and the attributes that "
        "are to be saved, null where a span has none of that name.",
        body=SaveSpansToDatasetRequest,
        says=_WITHOUT_A_BODY,
    ),
    Operation(
        method="post",
        path=_TELEMETRY + "/logs",
        id="query_logs",
        tag=TAG,
        summary="Query log records, the newest first.",
        description="Not part of the Llama Stack specification. Returns records that meet all filters. `order_by` takes "
        "`time` or `-time`; records without a time come last. `limit` is 100 where absent, -1 for all. A filter's key is "
        "an attribute's name exactly as it was sent, `resource.<name>`, or one of the record's own fields: "
        "`log.severity` (a level, such as `warn`), `log.severity_number`, `log.severity_text`, `log.body`, "
        "`log.body.<key>`, `log.event_name`, `log.time`, `log.observed_time`, `trace_id`, `span_id`, "
        "`service.name` (of the resource), `scope.name`, `scope.version`. An attribute that is named like one of these is `attributes.<name>`. Numbers compare with "
        "numbers and texts with texts; `ne` also matches where the key is missing, and a null value means that it is "
        f"missing. {_CUT}",
        body=QueryLogsRequest,
        answer=QueryLogsResponse,
        says="The log records.",
    ),
    Operation(
        method="post",
        path=_TELEMETRY + "/metrics/{metric_name}",
        id="query_metrics",
        tag=TAG,
        summary="Query a metric: a series for each set of labels.",
        description="Sums are the increase within each bucket of `granularity`, gauges their last value, histograms "
        "their mean; `<name>_count`, `<name>_sum` and `<name>_bucket` (with the label `le`) are what a histogram counted. "
        "Buckets begin at whole multiples of the granularity. Without one a range has the points as they came; "
        "`instant` is one point at `end_time` over the whole time. Patterns have to match a whole value and are RE2's. "
        "Values that are not numbers are the text `NaN`, `Infinity` or `-Infinity`.",
        body=QueryMetricsRequest,
        answer=QueryMetricsResponse,
        says="The series; empty for a metric that was never sent.",
    ),
)
