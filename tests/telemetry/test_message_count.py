"""Rows counted on the wire, before a request is decoded."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from telemetry.log.port import Signal
from telemetry.wire import row_limit
from telemetry.wire.message_count import check_rows, check_values
from telemetry.wire.refusals import TooLarge
from tests.telemetry.otlp_requests import any_value, key_values

KINDS = ("gauge", "sum", "histogram", "exponential_histogram", "summary")


def spans(count: int) -> Any:
    made = TracesData()
    span_list = made.resource_spans.add(schema_url="u").scope_spans.add(schema_url="u").spans
    for number in range(count):
        span_list.add(name="a name", start_time_unix_nano=number, flags=number, kind=2).events.add()
    return made


def records(count: int) -> Any:
    made = LogsData()
    for _ in range(count):
        made.resource_logs.add().scope_logs.add().log_records.add(severity_number=5)
    return made


def points(count: int, kind: str = "gauge") -> Any:
    made = MetricsData()
    metric = made.resource_metrics.add().scope_metrics.add().metrics.add(name="m", description="d")
    for _ in range(count):
        getattr(metric, kind).data_points.add(time_unix_nano=1)
    return made


def check(monkeypatch: pytest.MonkeyPatch, signal: Signal, body: bytes, rows: int) -> None:
    """The request counts for so many: with a lower limit it is too large."""
    monkeypatch.setattr(row_limit, "MAX_ROWS", rows)
    check_rows(signal, body)
    monkeypatch.setattr(row_limit, "MAX_ROWS", rows - 1)
    with pytest.raises(TooLarge):
        check_rows(signal, body)


def test_what_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows, and the messages that they are within."""
    check(monkeypatch, "traces", spans(50).SerializeToString(), 52)
    check(monkeypatch, "logs", records(50).SerializeToString(), 150)
    for kind in KINDS:
        check(monkeypatch, "metrics", points(50, kind).SerializeToString(), 54)


def test_data_that_is_there_several_times_adds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does when it is decoded."""
    metric = points(10).resource_metrics[0].scope_metrics[0].metrics[0].SerializeToString()
    made = MetricsData()
    made.resource_metrics.add().scope_metrics.add().metrics.add().MergeFromString(metric + metric)
    twice = b""
    for content in (metric + metric,):
        for tag in (b"\x12", b"\x12", b"\x0a"):
            size = len(content)
            content = tag + bytes([size & 0x7F | 0x80, size >> 7]) + content
        twice = content
    assert MetricsData.FromString(twice) == made
    check(monkeypatch, "metrics", twice, 20 + 5)


def test_values_within_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    value = any_value([None] * 30 + [{"a": [1, 2, 3], "b": "x"}])
    # The list and its 31 values; the object, its two attributes and their values; the list in there and its three.
    count = 1 + 31 + 1 + 2 + 2 + 1 + 3
    [attribute] = key_values({"k": [None] * 30 + [{"a": [1, 2, 3], "b": "x"}]})
    for encoded, is_attribute, more in (
        (value.SerializeToString(), False, 0),
        (attribute.SerializeToString(), True, 1),
    ):
        monkeypatch.setattr(row_limit, "MAX_ROWS", count + more)
        check_values(encoded, is_attribute=is_attribute)
        monkeypatch.setattr(row_limit, "MAX_ROWS", count + more - 1)
        with pytest.raises(TooLarge, match="values in one attribute"):
            check_values(encoded, is_attribute=is_attribute)


def test_a_long_text_is_one_value() -> None:
    check_values(any_value("\x0a\x00" * (2 << 20)).SerializeToString())
    [attribute] = key_values({"k": "\x12\x00" * (2 << 20)})
    check_values(attribute.SerializeToString(), is_attribute=True)


@pytest.mark.parametrize(
    "body",
    [b"", b"\x0a", b"\x0a\xff", b"\xff" * 50, b"\x0b\x0c\x0e\x0f", b"\x08", b"\x09\x01", b"\x0a\x05ab"],
)
def test_what_is_no_protobuf_is_left_to_others(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_limit, "MAX_ROWS", 10)
    check_rows("traces", body * 10)
    check_rows("metrics", b"\x0a\x14" + b"\x12\x12" + body * 20)
    check_values(body * 10)


def test_depth_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends where protobuf refuses anyway."""
    encoded = b""
    for _ in range(300):
        inner = b"\x0a" + _length(encoded) + encoded
        encoded = b"\x2a" + _length(inner) + inner
    monkeypatch.setattr(row_limit, "MAX_ROWS", 150)
    check_values(encoded)


def _length(content: bytes) -> bytes:
    size = len(content)
    return bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14])
