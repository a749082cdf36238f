"""Traces in the form of Jaeger's query API, which Grafana's Jaeger data source and Jaeger's page read (not part of the Llama
Stack specification). Times and durations are in microseconds."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct


class KeyValue(Struct, frozen=True):
    """A tag. The value is a string, a boolean or a number; lists and objects are their JSON text."""

    key: str
    type: Literal["string", "bool", "int64", "float64", "binary"]
    value: Any


class Reference(Struct, frozen=True):
    """The parent of a span (CHILD_OF), or a linked span (FOLLOWS_FROM)."""

    refType: Literal["CHILD_OF", "FOLLOWS_FROM"]
    traceID: str
    spanID: str


class Log(Struct, frozen=True):
    """An event of a span."""

    timestamp: int
    fields: list[KeyValue]


class JaegerSpan(Struct, frozen=True, kw_only=True):
    traceID: str
    spanID: str
    flags: int
    operationName: str
    references: list[Reference]
    startTime: int
    duration: int
    tags: list[KeyValue]
    logs: list[Log]
    processID: str
    warnings: list[str] | None = None


class Process(Struct, frozen=True):
    """A service that sent spans, with the attributes of its resource."""

    serviceName: str
    tags: list[KeyValue]


class JaegerTrace(Struct, frozen=True, kw_only=True):
    """`warnings` says if spans are left out."""

    traceID: str
    spans: list[JaegerSpan]
    processes: dict[str, Process]
    warnings: list[str] | None = None


class JaegerOperation(Struct, frozen=True):
    """`spanKind` is empty if it was not sent."""

    name: str
    spanKind: str


class DependencyLink(Struct, frozen=True):
    """How often spans of `child` were called by spans of `parent`: services."""

    parent: str
    child: str
    callCount: int


class JaegerError(Struct, frozen=True, omit_defaults=True, kw_only=True):
    code: int
    msg: str
    traceID: str = ""


class JaegerEnvelope(Struct, frozen=True, kw_only=True):
    """The fields around the data of every answer. `errors` is null if there are none."""

    total: int = 0
    limit: int = 0
    offset: int = 0
    errors: list[JaegerError] | None = None


class JaegerNames(JaegerEnvelope, frozen=True, kw_only=True):
    data: list[str]


class JaegerOperations(JaegerEnvelope, frozen=True, kw_only=True):
    data: list[JaegerOperation]


class JaegerTraces(JaegerEnvelope, frozen=True, kw_only=True):
    data: list[JaegerTrace]


class JaegerDependencies(JaegerEnvelope, frozen=True, kw_only=True):
    data: list[DependencyLink]


class JaegerFailure(JaegerEnvelope, frozen=True, kw_only=True):
    """An answer without data; `errors` has the reason."""

    data: None = None
