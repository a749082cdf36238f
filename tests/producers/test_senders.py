"""Data sent by OpenTelemetry's own SDKs is stored unchanged: the current and an older one for Python by HTTP and gRPC,
and the one for JavaScript, which writes OTLP/JSON."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import grpc
import pytest
from msgspec import Struct

from tests.producers.senders import SENDERS, Addresses, Sender, Unavailable
from tests.server.process import Replaystack
from tests.server.telemetry import Telemetry
from tests.server.telemetry_samples import text_of
from tests.telemetry.span_oracle import shown

pytestmark = pytest.mark.slow

SPAN_COLUMNS = (
    "span_id, parent_span_id, trace_state, name, kind, status, status_message, start_ns, end_ns, attributes, events,"
    " links, resource, scope_name, scope_version, scope_attributes"
)
LOG_COLUMNS = (
    "time_ns, observed_ns, severity, severity_text, body, attributes, trace_id, span_id, resource, scope_name"
)
METRICS = ("requests", "duration_count", "duration_sum", "duration_bucket", "load")


class RoundTrip(Struct):
    """A sender's report about what it sent, and the results of the API and the SQL views; or why it sent
    nothing."""

    sent: dict[str, Any] = {}
    spans: list[dict[str, Any]] = []
    metrics: dict[str, list[dict[str, Any]]] = {}
    span_rows: list[dict[str, Any]] = []
    log_rows: list[dict[str, Any]] = []
    unavailable: str = ""

    @property
    def trace_id(self) -> str:
        return str(self.sent["spans"][0]["trace_id"])


@pytest.fixture(scope="module")
def round_trips(tmp_path_factory: pytest.TempPathFactory) -> dict[Sender, RoundTrip]:
    """All senders at once into one server, which is stopped then."""
    settings = {"otlp_http_port": free_port(), "otlp_grpc_port": free_port()}
    data = tmp_path_factory.mktemp("senders") / "data"
    with Replaystack(data, settings=settings) as server:
        addresses = Addresses(
            f"http://127.0.0.1:{settings['otlp_http_port']}", f"127.0.0.1:{settings['otlp_grpc_port']}"
        )
        # It is opened a moment later than the others, and senders say on stderr what they have to repeat.
        with grpc.insecure_channel(addresses.grpc) as channel:
            grpc.channel_ready_future(channel).result(30)
        with ThreadPoolExecutor(3) as threads:
            found = dict(zip(SENDERS, threads.map(lambda one: run(one, addresses), SENDERS), strict=True))
        with server.http() as http:
            for sender, trip in found.items():
                if not trip.unavailable:
                    ask(sender, trip, Telemetry(http))
        server.check_healthy()
    assert server.wait() == 0 and '"level":"error"' not in server.log, server.log
    read_views(data, found)
    return found


@pytest.fixture(params=SENDERS, ids=lambda sender: sender.name)
def trip(request: pytest.FixtureRequest, round_trips: dict[Sender, RoundTrip]) -> Iterator[RoundTrip]:
    trip = round_trips[request.param]
    if trip.unavailable:
        pytest.skip(trip.unavailable)
    yield trip


def run(sender: Sender, addresses: Addresses) -> RoundTrip:
    try:
        return RoundTrip(sender.run(addresses))
    except Unavailable as missing:
        return RoundTrip(unavailable=str(missing))


def ask(sender: Sender, trip: RoundTrip, telemetry: Telemetry) -> None:
    now = int(time.time())
    asked = {"start_time": now - 3600, "end_time": now + 1, "query_type": "instant"}
    trip.spans = telemetry.trace_spans(trip.trace_id)
    trip.metrics = {name: telemetry.metric(f"{sender.name}.{name}", **asked) for name in METRICS}


def read_views(data: Path, trips: dict[Sender, RoundTrip]) -> None:
    with duckdb.connect(str(data / "telemetry.duckdb"), read_only=True) as file:
        [(schema,)] = file.execute("SELECT schema_name FROM served").fetchall()
        for trip in trips.values():
            if not trip.unavailable:
                for columns, view, rows in (
                    (SPAN_COLUMNS, "spans", trip.span_rows),
                    (LOG_COLUMNS, "logs", trip.log_rows),
                ):
                    query = f"SELECT {columns} FROM {schema}.{view} WHERE trace_id = ?"
                    for row in file.execute(query, [trip.trace_id]).fetchall():
                        rows.append(dict(zip(columns.replace(" ", "").split(","), row, strict=True)))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def text(value: Any) -> str:
    """Tells 1 from 1.0, and both from true."""
    return json.dumps(shown(value), sort_keys=True)


def api_span(sent: dict[str, Any]) -> dict[str, Any]:
    """As the API shows it, without what is empty; times end at the microsecond."""
    events = [
        {"time": text_of(int(one["time_ns"])), "name": one["name"], "attributes": one["attributes"]}
        for one in sent["events"]
    ]
    shown_as = {
        "trace_id": sent["trace_id"],
        "span_id": sent["span_id"],
        "parent_span_id": sent["parent_span_id"],
        "name": sent["name"],
        "kind": sent["kind"],
        "start_time": text_of(int(sent["start_ns"])),
        "end_time": text_of(int(sent["end_ns"])),
        "status": sent["status"],
        "status_message": sent["message"],
        "attributes": sent["attributes"],
        "events": events,
        "links": [without_nothing(one) for one in sent["links"]],
        "resource": sent["resource"],
        "scope": without_nothing(sent["scope"]),
    }
    return without_nothing(shown_as)


def shown_span(span: dict[str, Any]) -> dict[str, Any]:
    """Returns the API's result without empty values."""
    return without_nothing(span | {"links": [without_nothing(one) for one in span["links"]]})


def without_nothing(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, "", {}, [])}


def test_spans_come_back_as_they_were_sent(trip: RoundTrip) -> None:
    spans = {span["span_id"]: span for span in trip.spans}
    assert len(trip.spans) == len(trip.sent["spans"]) == 5
    for sent in trip.sent["spans"]:
        assert text(shown_span(spans[sent["span_id"]])) == text(api_span(sent))


def test_the_views_have_what_the_contract_cannot_hold(trip: RoundTrip) -> None:
    rows = {row["span_id"]: row for row in trip.span_rows}
    assert len(trip.span_rows) == len(trip.sent["spans"])
    for sent in trip.sent["spans"]:
        row = rows[sent["span_id"]]
        assert (row["parent_span_id"], row["trace_state"]) == (sent["parent_span_id"], "vendor=1")
        assert (row["name"], row["kind"], row["status"]) == (sent["name"], sent["kind"], sent["status"])
        assert (row["status_message"] or "") == sent["message"]
        assert (row["start_ns"], row["end_ns"]) == (int(sent["start_ns"]), int(sent["end_ns"]))
        assert (row["scope_name"], row["scope_version"]) == ("producer", "1.2.3")
        for name in ("attributes", "resource"):
            assert text(json.loads(row[name])) == text(sent[name])
        assert text(json.loads(row["scope_attributes"] or "{}")) == text(sent["scope"]["attributes"])
        events = [one | {"time_ns": int(one["time_ns"])} for one in sent["events"]]
        assert text(json.loads(row["events"])) == text(events)
        for stored, link in zip(json.loads(row["links"]), sent["links"], strict=True):
            stored.pop("flags", None)
            assert text(without_nothing(stored)) == text(without_nothing(link))


def test_every_kind_of_span_and_value_was_sent(trip: RoundTrip) -> None:
    spans = trip.sent["spans"]
    assert {span["kind"] for span in spans} == {"internal", "server", "client", "producer", "consumer"}
    assert {span["status"] for span in spans} == {"ok", "error"}
    assert all(len(span["attributes"]) >= 17 and len(span["links"]) == 2 for span in spans)
    assert any(event["name"] == "exception" for span in spans for event in span["events"])


def test_metrics_come_back_as_they_were_counted(trip: RoundTrip) -> None:
    def values(name: str) -> dict[tuple[tuple[str, str], ...], float]:
        return {
            tuple(sorted((label["name"], label["value"]) for label in one["labels"])): one["values"][-1][
                "value"
            ]
            for one in trip.metrics[name]
        }

    assert values("requests") == {
        (("cached", "false"), ("model", "a")): 5,
        (("cached", "false"), ("model", "b")): 4,
    }
    assert values("duration_count") == {(("model", "a"),): 3}
    assert values("duration_sum") == {(("model", "a"),): 7001.5}
    assert values("load") == {(("core", "1"),): 2.5}
    buckets = {dict(labels)["le"]: value for labels, value in values("duration_bucket").items()}
    assert max(buckets.values()) == 3
    assert {one["values"][-1]["unit"] for one in trip.metrics["requests"]} == {"{request}"}


def test_log_records_come_back_as_they_were_sent(trip: RoundTrip) -> None:
    sent = trip.sent["log"]
    [row] = trip.log_rows
    assert row["time_ns"] == int(sent["time_ns"])
    assert row["observed_ns"] == (sent["observed_ns"] and int(sent["observed_ns"]))
    for name in ("severity", "severity_text", "trace_id", "span_id"):
        assert row[name] == sent[name]
    for name in ("body", "attributes"):
        assert text(json.loads(row[name])) == text(sent[name])
    assert text(json.loads(row["resource"])) == text(trip.sent["spans"][0]["resource"])
    assert row["scope_name"] == "producer"
