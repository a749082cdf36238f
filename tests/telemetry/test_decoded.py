"""Decoded rows are accepted by DuckDB: a single refused row would stop the store permanently."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from projections.telemetry_build import Arrival
from projections.warehouse.reader import Row
from telemetry.log.port import Content, Encoding, Signal
from telemetry.wire.decoded import Decoded
from telemetry.wire.refusals import Malformed, Refused
from tests.telemetry import otlp_strategies
from tests.telemetry.decoded_rows import attributes, received, rows
from tests.telemetry.odd_requests import BODIES, damaged
from tests.telemetry.otlp_requests import any_value, key_values
from tests.telemetry.stored_telemetry import StoredTelemetry

ODD_TEXTS = [
    "",
    "\0",
    "a\0b",
    "\x1e",
    "\x7f",
    "\u2028",
    "\ufffd",
    "\uffff",
    "\U0010ffff",
    "'; DROP TABLE",
    "$.a[0]",
    '"\\',
]
TRACE = bytes(range(16))
_numbers = count(1)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoredTelemetry]:
    made = StoredTelemetry(tmp_path_factory.mktemp("store"))
    yield made
    made.close()


def put(store: StoredTelemetry, signal: Any, request: Any) -> tuple[Decoded, int]:
    """The rows of the request, and the number of the first in the store."""
    body = request if isinstance(request, bytes) else request.SerializeToString()
    store.add_request(Content(signal), body)
    return received(signal, body), store.build.position << 20


def read(store: StoredTelemetry, sql: str, **params: Any) -> list[Row]:
    with store.warehouse.snapshot() as snapshot:
        return snapshot.rows(sql, params)


def check_spans(store: StoredTelemetry, request: TracesData) -> None:
    """They come back as they were sent, before they are moved and afterwards."""
    for of_resource in request.resource_spans:
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                span.span_id = next(_numbers).to_bytes(8, "big") if len(span.span_id) == 8 else b""
    decoded, _ = put(store, "traces", request)
    resources = {row["resource_id"]: row for row in rows(decoded, "resources")}
    expected = [
        (
            row["name"],
            row["trace_id"],
            attributes(row),
            json.loads(row["events"] or "null"),
            json.loads(row["links"] or "null"),
            json.loads(resources[row["resource_id"]]["attributes"]),
            row["request_model"] or None,
        )
        for row in rows(decoded, "spans")
    ]
    ids = [f"{row['span_id']:016x}" for row in rows(decoded, "spans")]
    for _ in range(2):
        found = read(
            store,
            "SELECT name, trace_id, attributes, events, links, resource, request_model FROM now.spans "
            "WHERE span_id IN (SELECT unnest($ids::VARCHAR[])) ORDER BY span_id",
            ids=ids,
        )
        assert [
            (*row[:2], *(json.loads(text or "null") for text in row[2:6]), row[6]) for row in found
        ] == expected
        store.move(10_000)
    assert read(store, "SELECT count(*) FROM now.spans_recent") == [(0,)]


def check_logs(store: StoredTelemetry, request: LogsData) -> None:
    decoded, first = put(store, "logs", request)
    expected = [
        (
            json.loads(row["body"]),
            json.loads(row["attributes"]),
            row["severity"],
            row["severity_text"] or None,
        )
        for row in rows(decoded, "logs")
    ]
    found = read(
        store,
        "SELECT body::JSON, attributes::JSON, severity, severity_text FROM now.log_records "
        "WHERE number >= $first ORDER BY number",
        first=first,
    )
    assert [(json.loads(row[0]), json.loads(row[1]), *row[2:]) for row in found] == expected
    read(store, "SELECT * FROM now.logs")


def check_metrics(store: StoredTelemetry, request: MetricsData) -> None:
    decoded, first = put(store, "metrics", request)
    streams = {row["identity"]: row for row in rows(decoded, "streams")}
    points = [(streams[row["identity"]]["name"], row["time_ns"]) for row in rows(decoded, "points")]
    found = read(
        store,
        "SELECT m.name, p.time_ns FROM now.metric_points AS p INNER JOIN now.metric_streams AS m USING (stream_id) "
        "WHERE p.number >= $first ORDER BY p.number",
        first=first,
    )
    assert found == points
    histograms = [
        (
            streams[row["identity"]]["name"],
            row["count"],
            row["counts"] if row["held"] & 8 else None,
            row["positive_counts"] if row["held"] & 32 else None,
        )
        for row in rows(decoded, "histograms")
    ]
    found = read(
        store,
        "SELECT m.name, p.count, p.counts, p.positive_counts FROM now.metric_histograms AS p "
        "INNER JOIN now.metric_streams AS m USING (stream_id) WHERE p.number >= $first ORDER BY p.number",
        first=first,
    )
    assert found == histograms


FEW = settings(max_examples=25, suppress_health_check=list(HealthCheck))


@pytest.mark.slow
@FEW
@given(otlp_strategies.trace_requests)
def test_spans_of_all_shapes(store: StoredTelemetry, request_: TracesData) -> None:
    check_spans(store, request_)


@pytest.mark.slow
@FEW
@given(otlp_strategies.log_requests)
def test_logs_of_all_shapes(store: StoredTelemetry, request_: LogsData) -> None:
    check_logs(store, request_)


@pytest.mark.slow
@FEW
@given(otlp_strategies.metric_requests)
def test_metrics_of_all_shapes(store: StoredTelemetry, request_: MetricsData) -> None:
    check_metrics(store, request_)


def test_odd_texts_wherever_there_is_text(store: StoredTelemetry) -> None:
    request_ = TracesData()
    for text in ODD_TEXTS:
        pairs = key_values({text: text, "gen_ai.request.model": text, "in": {text: [text]}})
        of_resource = request_.resource_spans.add(schema_url=text)
        of_resource.resource.attributes.extend(pairs)
        of_scope = of_resource.scope_spans.add(schema_url=text)
        of_scope.scope.name = of_scope.scope.version = text
        of_scope.scope.attributes.extend(pairs)
        span = of_scope.spans.add(trace_id=TRACE, span_id=bytes(8), name=text, trace_state=text)
        span.attributes.extend(pairs)
        span.status.message = text
        span.events.add(name=text, attributes=pairs)
        span.links.add(trace_state=text, attributes=pairs)
    check_spans(store, request_)
    records = LogsData()
    for text in ODD_TEXTS:
        record = (
            records.resource_logs.add()
            .scope_logs.add()
            .log_records.add(severity_text=text, event_name=text, body=any_value(text))
        )
        record.attributes.extend(key_values({text: text}))
    check_logs(store, records)
    metrics = MetricsData()
    for text in ODD_TEXTS[1:]:
        metric = (
            metrics.resource_metrics.add()
            .scope_metrics.add()
            .metrics.add(name=text, unit=text, description=text)
        )
        metric.gauge.data_points.add(time_unix_nano=1, as_int=1, attributes=key_values({text: text}))
    check_metrics(store, metrics)
    for text in ODD_TEXTS:
        assert json.loads(read(store, "SELECT to_json($text::VARCHAR)", text=text)[0][0]) == text


def test_values_at_the_ends_of_what_can_be(store: StoredTelemetry) -> None:
    nested: Any = "in the middle"
    for _ in range(47):
        nested = [nested]
    request_ = TracesData()
    spans = request_.resource_spans.add().scope_spans.add().spans
    for value in (2**63 - 1, -(2**63), 5e-324, -0.0, 1.7976931348623157e308, math.nan, b"\0" * 1000, nested):
        spans.add(trace_id=TRACE, span_id=bytes(8), attributes=key_values({"k": value}))
    many = {f"key {number}": number for number in range(1000)}
    spans.add(
        trace_id=b"\xee" * 16,
        span_id=bytes(8),
        parent_span_id=b"\xff" * 8,
        start_time_unix_nano=2**63 - 1,
        end_time_unix_nano=2**63 - 1,
        flags=2**32 - 1,
        dropped_events_count=2**32 - 1,
        attributes=key_values(many | {"gen_ai.usage.input_tokens": 2**63 - 1}),
    ).events.add(time_unix_nano=2**64 - 1)
    check_spans(store, request_)
    last = "SELECT parent_span_id, start_ns, input_tokens FROM now.spans WHERE trace_id = $id"
    assert read(store, last, id="ee" * 16) == [("ff" * 8, 2**63 - 1, 2**63 - 1)]
    read(store, "SELECT * FROM now.spans")


def test_numbers_of_metrics_at_the_ends_of_what_can_be(store: StoredTelemetry) -> None:
    request_ = MetricsData()
    metrics = request_.resource_metrics.add().scope_metrics.add().metrics
    points = metrics.add(name="ends").gauge.data_points
    for value in (2**63 - 1, -(2**63)):
        points.add(time_unix_nano=2**63 - 1, start_time_unix_nano=2**63 - 1, as_int=value)
    for value in (math.nan, math.inf, -math.inf, 5e-324):
        points.add(time_unix_nano=1, as_double=value)
    histogram = metrics.add(name="ends").histogram
    histogram.aggregation_temporality = 1  # type: ignore[assignment]
    most = 2**64 - 1
    histogram.data_points.add(
        time_unix_nano=1,
        count=most,
        sum=math.nan,
        min=-math.inf,
        explicit_bounds=[-math.inf],
        bucket_counts=[0, most],
    )
    check_metrics(store, request_)
    of_name = "INNER JOIN now.metric_streams USING (stream_id) WHERE name = 'ends'"
    wholes = read(store, f"SELECT whole FROM now.metric_points {of_name} ORDER BY whole NULLS LAST")
    assert wholes == [(-(2**63),), (2**63 - 1,), *[(None,)] * 4]
    histograms = read(store, f"SELECT count, counts FROM now.metric_histograms {of_name}")
    assert histograms == [(most, [0, most])]


def test_json_that_only_javascript_writes(store: StoredTelemetry) -> None:
    span = '{"traceId":"%s","spanId":"00f067aa0ba902b7","name":"\\ud83d","flags":1e20}'
    body = '{"resourceSpans":[{"scopeSpans":[{"spans":[%s]}]}]}' % (span % ("c" * 32))
    with pytest.raises(Malformed):
        store.add_request(Content("traces", "json"), body.encode())
    body = body.replace("1e20", "1e12")
    store.add_request(Content("traces", "json"), body.encode())
    found = read(store, "SELECT name FROM now.spans WHERE trace_id = $id", id="c" * 32)
    assert found == [("\ufffd",)]


@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_requests_that_were_damaged(store: StoredTelemetry, signal: Signal, encoding: Encoding) -> None:
    """Whatever is left of them."""
    chance = random.Random(f"{signal} {encoding}")
    arrivals = []
    for number in range(500):
        try:
            decoded = received(signal, damaged(BODIES[encoding][signal], chance), encoding)
        except Refused:
            continue
        if decoded.batches:
            arrivals.append(Arrival(store.build.position + 1 + number, decoded.batches))
    assert len(arrivals) > 5
    store.build.apply(arrivals)
    for view in ("spans", "logs"):
        read(store, f"SELECT * FROM now.{view}")
    read(store, "SELECT * FROM now.metric_histograms")
