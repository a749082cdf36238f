"""Description of Jaeger's query API."""

from __future__ import annotations

from schemas.api.jaeger import (
    JaegerDependencies,
    JaegerFailure,
    JaegerNames,
    JaegerOperations,
    JaegerSpan,
    JaegerTrace,
    JaegerTraces,
)
from stack.http.spec.components import Details, Schema
from stack.http.spec.operation import Operation, Parameter

_ERROR: Schema = {
    "type": "object",
    "properties": {
        "code": {"type": "integer"},
        "msg": {"type": "string"},
        "traceID": {"type": "string"},
    },
    "required": ["code", "msg"],
    "additionalProperties": False,
}
_ERRORS: Schema = {"errors": {"type": ["array", "null"], "items": _ERROR}}
_WARNINGS: Schema = {"warnings": {"type": ["array", "null"], "items": {"type": "string"}}}
DETAILS: dict[type, Details] = {
    JaegerNames: Details(schemas=_ERRORS),
    JaegerOperations: Details(schemas=_ERRORS),
    JaegerTraces: Details(schemas=_ERRORS),
    JaegerDependencies: Details(schemas=_ERRORS),
    JaegerFailure: Details(schemas=_ERRORS | {"data": {"type": "null"}}),
    JaegerSpan: Details(schemas=_WARNINGS),
    JaegerTrace: Details(schemas=_WARNINGS),
}

SERVICES = "/jaeger/api/services"


def _given(name: str, description: str, kind: object = str) -> Parameter:
    return Parameter(name=name, kind=kind, description=description)


_SHOWN = (
    _given("prettyPrint", "Accepted for Jaeger's clients; it changes nothing."),
    _given("raw", "Accepted for Jaeger's clients; it changes nothing."),
)


def operations(tag: str) -> tuple[Operation, ...]:
    return (
        Operation(
            method="get",
            path=SERVICES,
            id="list_jaeger_services",
            tag=tag,
            summary="List the services that sent spans, in the form of Jaeger's query API.",
            answer=JaegerNames,
            says="The services of the newest million spans.",
            failures=JaegerFailure,
        ),
        Operation(
            method="get",
            path=f"{SERVICES}/{{service}}/operations",
            id="list_jaeger_service_operations",
            tag=tag,
            summary="List the names of the spans of a service, in the form of Jaeger's query API.",
            answer=JaegerNames,
            says="The names among the newest million spans; none for an unknown service.",
            failures=JaegerFailure,
        ),
        Operation(
            method="get",
            path="/jaeger/api/operations",
            id="list_jaeger_operations",
            tag=tag,
            summary="List the names and kinds of the spans of a service, in the form of Jaeger's query API.",
            parameters=(
                _given("service", "The service; required."),
                _given("spanKind", "internal, server, client, producer or consumer; all where absent."),
            ),
            answer=JaegerOperations,
            says="The names with their kinds among the newest million spans; none for an unknown service.",
            failures=JaegerFailure,
        ),
        Operation(
            method="get",
            path="/jaeger/api/traces",
            id="search_jaeger_traces",
            tag=tag,
            summary="Search traces, in the form of Jaeger's query API.",
            description="Traces in which one span fulfils all conditions, the newest first, or those that `traceID` names. "
            "`x-truncated` is true if not all that was asked for fits.",
            parameters=(
                _given("service", "The service of the span; required without traceID."),
                _given("operation", "The name of the span."),
                _given("spanKind", "The kind of the span: internal, server, client, producer or consumer."),
                _given("tags", "A JSON object of attributes and their values as strings.", list[str]),
                _given("tag", "An attribute and its value: key:value.", list[str]),
                _given("start", "The span began then or later, in microseconds since 1970."),
                _given("end", "The span began then or before, in microseconds since 1970."),
                _given("lookback", "Without start: how long before end (or now), such as 1h."),
                _given("minDuration", "The span took as long or longer, such as 100ms or 1.5s."),
                _given("maxDuration", "The span took as long or less."),
                _given("limit", "The most traces; 100 where absent, at most 1500."),
                _given("traceID", "The id of a trace, instead of all conditions.", list[str]),
                *_SHOWN,
            ),
            answer=JaegerTraces,
            says="The traces, with at most 10,000 spans in all; `errors` names those that do not exist.",
            failures=JaegerFailure,
        ),
        Operation(
            method="get",
            path="/jaeger/api/traces/{trace_id}",
            id="get_jaeger_trace",
            tag=tag,
            summary="Read a trace, in the form of Jaeger's query API.",
            parameters=(
                _given("start", "Accepted for Grafana; it changes nothing."),
                _given("end", "Accepted for Grafana; it changes nothing."),
                *_SHOWN,
            ),
            answer=JaegerTraces,
            says="The trace, with at most 10,000 spans.",
            failures=JaegerFailure,
        ),
        Operation(
            method="get",
            path="/jaeger/api/dependencies",
            id="list_jaeger_dependencies",
            tag=tag,
            summary="Count the calls between services, in the form of Jaeger's query API.",
            parameters=(
                _given("endTs", "The end, in milliseconds since 1970; now where absent."),
                _given("lookback", "The time before the end, in milliseconds; one day where absent."),
                _given("service", "Only calls of and by this service."),
            ),
            answer=JaegerDependencies,
            says="Calls among about the newest 250,000 spans of this time.",
            failures=JaegerFailure,
        ),
    )
