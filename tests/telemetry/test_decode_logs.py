"""Log records of requests as rows: bodies of every type, ids that may be missing, the unfit told apart."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData, SeverityNumber

from telemetry.wire import row_limit
from telemetry.wire.decode_logs import SEVERITIES
from telemetry.wire.refusals import Malformed, TooLarge
from tests.telemetry import otlp_strategies
from tests.telemetry.decoded_rows import in_both_forms, received, rows
from tests.telemetry.otlp_requests import BASE_NS, any_value, key_values

TRACE, SPAN = bytes(range(16)), bytes(range(8))


def request(*records: LogRecord) -> LogsData:
    made = LogsData()
    made.resource_logs.add().scope_logs.add().log_records.extend(records)
    return made


def only_row(record: LogRecord) -> dict[str, Any]:
    [row] = rows(in_both_forms("logs", request(record)), "logs")
    return row


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(otlp_strategies.log_requests)
def test_a_request_is_the_same_in_protobuf_and_in_json(made: LogsData) -> None:
    found = in_both_forms("logs", made)
    sent = [one for r in made.resource_logs for s in r.scope_logs for one in s.log_records]
    assert found.accepted + found.rejected == len(sent)
    for row in rows(found, "logs"):
        json.loads(row["body"])
        json.loads(row["attributes"])
        assert 0 <= row["severity"] <= 24


def test_all_fields_of_a_record() -> None:
    row = only_row(
        LogRecord(
            time_unix_nano=BASE_NS,
            observed_time_unix_nano=2**63 - 1,
            severity_number=SeverityNumber.SEVERITY_NUMBER_FATAL4,
            severity_text="FATAL",
            event_name="it.happened",
            body=any_value({"said": ["a", 1]}),
            attributes=key_values({"a": [1, None], "b": "ü"}),
            dropped_attributes_count=3,
            flags=257,
            trace_id=TRACE,
            span_id=SPAN,
        )
    )
    assert (row["time_ns"], row["observed_ns"], row["severity"]) == (BASE_NS, 2**63 - 1, 24)
    assert (row["severity_text"], row["event_name"]) == ("FATAL", "it.happened")
    assert (row["body"], row["attributes"]) == ('{"said":["a",1]}', '{"a":[1,null],"b":"ü"}')
    assert (row["dropped_attributes"], row["flags"]) == (3, 257)
    assert (row["trace_id"], row["span_id"]) == (TRACE.hex(), int.from_bytes(SPAN, "big"))


def test_a_record_of_nothing() -> None:
    row = only_row(LogRecord())
    assert (row["time_ns"], row["observed_ns"], row["severity"]) == (0, 0, 0)
    assert (row["body"], row["attributes"], row["severity_text"]) == ("null", "{}", "")
    assert (row["trace_id"], row["span_id"]) == (bytes(16).hex(), 0)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (None, "null"),
        ("", '""'),
        ("short", '"short"'),
        ("x" * 127, f'"{"x" * 127}"'),
        ("x" * 128, f'"{"x" * 128}"'),
        ('a "quote"\n\x00😀', '"a \\"quote\\"\\n\\u0000😀"'),
        (-5, "-5"),
        (1.0, "1.0"),
        (math.inf, '"Infinity"'),
        (False, "false"),
        (b"\xff", '"/w=="'),
        ([], "[]"),
        ({"k": {}}, '{"k":{}}'),
    ],
)
def test_bodies_of_every_type(body: Any, text: str) -> None:
    assert only_row(LogRecord(body=any_value(body)))["body"] == text


def test_severities_have_the_names_of_the_protocol() -> None:
    assert list(SEVERITIES) == SeverityNumber.keys()
    body = {"severityNumber": "SEVERITY_NUMBER_WARN2"}
    made = {"resourceLogs": [{"scopeLogs": [{"logRecords": [body, {"severityNumber": 99}, {}]}]}]}
    found = rows(received("logs", json.dumps(made).encode(), "json"), "logs")
    assert [row["severity"] for row in found] == [14, 0, 0]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"trace_id": b"x" * 15}, "a trace id is not 16 bytes"),
        ({"trace_id": b"x" * 17}, "a trace id is not 16 bytes"),
        ({"span_id": b"x"}, "a span id is not 8 bytes"),
        ({"time_unix_nano": 2**63}, "a time is not between 1970 and 2262"),
        ({"observed_time_unix_nano": 2**64 - 1}, "a time is not between 1970 and 2262"),
    ],
)
def test_an_unfit_record_is_left_out_and_the_others_are_kept(fields: dict[str, Any], reason: str) -> None:
    good = [LogRecord(severity_text=text) for text in "ab"]
    found = in_both_forms("logs", request(good[0], LogRecord(**fields), good[1]))
    assert (found.accepted, found.rejected, found.reason) == (2, 1, f"1 because {reason}")
    assert [row["severity_text"] for row in rows(found, "logs")] == ["a", "b"]


def test_ids_of_zeros_are_none() -> None:
    row = only_row(LogRecord(trace_id=bytes(16), span_id=bytes(8)))
    assert (row["trace_id"], row["span_id"]) == (bytes(16).hex(), 0)


def test_many_records_of_one_scope() -> None:
    made = request(*[LogRecord(time_unix_nano=number) for number in range(1, 10_001)])
    found = rows(received("logs", made.SerializeToString()), "logs")
    assert [row["time_ns"] for row in found] == list(range(1, 10_001))


def test_more_records_than_the_store_numbers_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_limit, "MAX_ROWS", 10)
    with pytest.raises(TooLarge):
        in_both_forms("logs", request(*[LogRecord()] * 11))


@pytest.mark.parametrize(
    "record",
    [
        {"body": {"intValue": "99999999999999999999"}},
        {"body": {"bytesValue": "?"}},
        {"body": "not a value"},
        {"timeUnixNano": "soon"},
        {"severityText": 5},
        {"attributes": [{"key": "k", "value": {"doubleValue": "1e400"}}]},
    ],
)
def test_json_that_says_nothing_clear_is_refused(record: dict[str, Any]) -> None:
    made = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}
    with pytest.raises(Malformed):
        received("logs", json.dumps(made).encode(), "json")
