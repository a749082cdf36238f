"""Log records that were acknowledged can be read: by filters of every kind, in order, page by page."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData

from tests.server.telemetry import Telemetry, where
from tests.server.telemetry_samples import new_id
from tests.telemetry.otlp_requests import BASE_NS, any_value, key_values

TRACE, SPAN = new_id(128), new_id()
BODIES: list[Any] = ["the harbour", {"content": "hi", "n": 1}, ["a", 1], b"\x00\xff", None, 7, 1.5, True, ""]


def record(number: int, **fields: Any) -> LogRecord:
    attributes = {"test": "logs", "number": number} | fields.pop("attributes", {})
    return LogRecord(
        **{"time_unix_nano": BASE_NS + number * 1_000} | fields, attributes=key_values(attributes)
    )


def records() -> list[LogRecord]:
    ids = {"trace_id": TRACE.to_bytes(16, "big"), "span_id": SPAN.to_bytes(8, "big")}
    made = [record(number, body=any_value(body)) for number, body in enumerate(BODIES)]
    made.append(record(9, **ids, severity_number=9, severity_text="INFO", event_name="gen_ai.user.message"))
    made.append(record(10, trace_id=ids["trace_id"], severity_number=18, attributes={"trace_id": "mine"}))
    made.append(record(11, span_id=ids["span_id"], severity_number=13))
    made.append(record(12, time_unix_nano=0, observed_time_unix_nano=BASE_NS + 12_000, severity_number=24))
    made.append(record(13, time_unix_nano=0))
    return made


def send(telemetry: Telemetry, *made: LogRecord, scope: str = "shop.logger") -> None:
    request = LogsData()
    of_resource = request.resource_logs.add()
    of_resource.resource.attributes.extend(key_values({"service.name": "shop"}))
    of_scope = of_resource.scope_logs.add()
    of_scope.scope.name, of_scope.scope.version = scope, "1.2" if scope else ""
    of_scope.log_records.extend(made)
    telemetry.send_raw("logs", request.SerializeToString())


@pytest.fixture(scope="module")
def sent(telemetry: Telemetry) -> Telemetry:
    send(telemetry, *records())
    send(telemetry, record(14, attributes={"other": 1}), scope="")
    return telemetry


OURS = where("test", "eq", "logs")


def numbers(telemetry: Telemetry, *filters: dict[str, Any], **body: Any) -> list[int]:
    return [one["attributes"]["number"] for one in telemetry.logs(OURS, *filters, **body)]


def test_the_newest_first_and_those_without_a_time_last(sent: Telemetry) -> None:
    assert numbers(sent) == [14, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 13]
    assert numbers(sent, order_by=["-time"]) == numbers(sent)
    assert numbers(sent, order_by=["time"]) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 13]


def test_bodies_of_every_kind(sent: Telemetry) -> None:
    found = {one["attributes"]["number"]: one.get("body") for one in sent.logs(OURS)}
    assert [found[number] for number in range(9)] == [*BODIES[:3], "AP8=", *BODIES[4:]]


def test_all_fields_of_a_record(sent: Telemetry) -> None:
    [found] = sent.logs(
        where("log.event_name", "eq", "gen_ai.user.message"), where("trace_id", "eq", f"{TRACE:032x}")
    )
    assert found == {
        "time": "2026-09-21T14:13:20.000009Z",
        "severity_number": 9,
        "severity_text": "INFO",
        "event_name": "gen_ai.user.message",
        "attributes": {"test": "logs", "number": 9},
        "trace_id": f"{TRACE:032x}",
        "span_id": f"{SPAN:016x}",
        "resource": {"service.name": "shop"},
        "scope": {"name": "shop.logger", "version": "1.2"},
    }
    [late] = sent.logs(OURS, where("number", "eq", 12))
    assert late["time"] == late["observed_time"]
    [timeless] = sent.logs(OURS, where("number", "eq", 13))
    assert "time" not in timeless and "observed_time" not in timeless


ALL = set(range(15))


@pytest.mark.parametrize(
    ("key", "op", "value", "expected"),
    [
        ("number", "gt", 12, {13, 14}),
        ("number", "eq", "9", set()),
        ("missing", "eq", None, ALL),
        ("other", "ne", 1, ALL - {14}),
        ("attributes.trace_id", "eq", "mine", {10}),
        ("resource.service.name", "eq", "shop", ALL),
        ("service.name", "eq", "shop", ALL),
        ("service.name", "ne", "shop", set()),
        ("service.name", "eq", None, set()),
        ("attributes.service.name", "eq", "shop", set()),
        ("resource.service.name", "ne", "shop", set()),
        ("scope.name", "eq", "shop.logger", ALL - {14}),
        ("scope.name", "ne", "shop.logger", {14}),
        ("scope.name", "eq", None, {14}),
        ("scope.version", "gt", "1.1", ALL - {14}),
        ("log.severity", "eq", "error", {10}),
        ("log.severity", "eq", "ERROR2", {10}),
        ("log.severity", "eq", "error3", set()),
        ("log.severity", "eq", "SEVERITY_NUMBER_FATAL4", {12}),
        ("log.severity", "gt", "warn", {10, 12}),
        ("log.severity", "lt", "warning", {9}),
        ("log.severity", "ne", "info", ALL - {9}),
        ("log.severity", "ne", None, {9, 10, 11, 12}),
        ("log.severity", "eq", None, ALL - {9, 10, 11, 12}),
        ("log.severity", "gt", 12.5, {10, 11, 12}),
        ("log.severity_number", "eq", 18, {10}),
        ("log.severity_number", "eq", 18.5, set()),
        ("log.severity_number", "ne", 18, ALL - {10}),
        ("log.severity_number", "lt", 1e300, {9, 10, 11, 12}),
        ("log.severity_text", "eq", "INFO", {9}),
        ("log.severity_text", "ne", "INFO", ALL - {9}),
        ("log.event_name", "eq", None, ALL - {9}),
        ("log.event_name", "gt", "gen_ai.user", {9}),
        ("log.body", "eq", "the harbour", {0}),
        ("log.body", "eq", "", {8}),
        ("log.body", "eq", 7, {5}),
        ("log.body", "eq", 7.0, {5}),
        ("log.body", "eq", "7", set()),
        ("log.body", "gt", 1, {5, 6}),
        ("log.body", "eq", True, {7}),
        ("log.body", "eq", ["a", 1], {2}),
        ("log.body", "eq", {"n": 1.0, "content": "hi"}, {1}),
        ("log.body", "eq", "AP8=", {3}),
        ("log.body", "ne", "the harbour", ALL - {0}),
        ("log.body", "eq", None, {4, 9, 10, 11, 12, 13, 14}),
        ("log.body", "ne", None, {0, 1, 2, 3, 5, 6, 7, 8}),
        ("log.body.content", "eq", "hi", {1}),
        ("log.body.n", "gt", 0, {1}),
        ("log.body.content", "eq", None, ALL - {1}),
        ("log.time", "eq", "2026-09-21T14:13:20.000009Z", {9}),
        ("log.time", "gt", "2026-09-21T14:13:20.000011Z", {12, 14}),
        ("log.time", "lt", 1_790_000_001, ALL - {13}),
        ("log.time", "eq", None, {13}),
        ("log.observed_time", "ne", None, {12}),
        ("trace_id", "eq", f"{TRACE:032X}", {9, 10}),
        ("trace_id", "ne", f"{TRACE:032x}", ALL - {9, 10}),
        ("trace_id", "eq", None, ALL - {9, 10}),
        ("span_id", "eq", f"{SPAN:016x}", {9, 11}),
        ("span_id", "ne", None, {9, 11}),
        ("span_id", "eq", "no id", set()),
        ("log.iostream", "eq", "stdout", set()),
    ],
)
def test_filters(sent: Telemetry, key: str, op: str, value: Any, expected: set[int]) -> None:
    assert set(numbers(sent, where(key, op, value))) == expected


def test_filters_have_to_be_met_together(sent: Telemetry) -> None:
    assert numbers(sent, where("trace_id", "ne", None), where("log.severity", "gt", "info")) == [10]


def test_pages_fit_together(sent: Telemetry) -> None:
    whole = numbers(sent)
    assert [number for offset in range(0, 15, 4) for number in numbers(sent, limit=4, offset=offset)] == whole
    body = {"attribute_filters": [OURS]}
    assert sent.post("logs", body | {"limit": 14}).headers["x-truncated"] == "true"
    assert "x-truncated" not in sent.post("logs", body | {"limit": 15}).headers
    assert "x-truncated" not in sent.post("logs", body | {"limit": 4, "offset": 11}).headers
    assert sent.post("logs", body | {"limit": 0}).json() == {"data": []}
    assert len(numbers(sent, limit=-1)) == 15 and numbers(sent, offset=99) == []


def test_everything_can_be_left_out(sent: Telemetry) -> None:
    assert len(sent.post("logs", None).json()["data"]) >= 15
    assert len(sent.post("logs", {}).json()["data"]) >= 15
    old = Telemetry(sent.http, "/v1")
    assert old.logs(OURS) == sent.logs(OURS)


def test_a_record_is_there_at_once(sent: Telemetry) -> None:
    for number in range(100, 110):
        send(sent, LogRecord(attributes=key_values({"at once": number})))
        assert len(sent.logs(where("at once", "eq", number))) == 1


def test_a_request_in_json(sent: Telemetry) -> None:
    """As the issue trackers of instrumentations show it: prompts as structured records."""
    values = [{"key": "content", "value": {"stringValue": "said"}}]
    one = {
        "timeUnixNano": str(BASE_NS),
        "body": {"kvlistValue": {"values": values}},
        "attributes": [{"key": "event.name", "value": {"stringValue": "gen_ai.user.message"}}],
    }
    answer = sent.http.post("/v1/logs", json={"resourceLogs": [{"scopeLogs": [{"logRecords": [one]}]}]})
    assert answer.status_code == 200
    found = sent.logs(where("event.name", "eq", "gen_ai.user.message"))
    assert [log["body"] for log in found] == [{"content": "said"}]
