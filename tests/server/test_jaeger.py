"""Jaeger's query API: what Grafana's Jaeger data source and Jaeger's page ask for, among spans of two services."""

from __future__ import annotations

import json
import random
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.server.telemetry import Telemetry
from tests.telemetry.otlp_requests import PlainSpan

API = "/jaeger/api"
US = 1_000
BASE_NS = 1_700_000_000_000_000_000
GATEWAY, TOOLS = "gateway of/orders", "tools"


class Told:
    """A trace of two services, and one more with a span that is slow, all in this test's own time."""

    def __init__(self, telemetry: Telemetry) -> None:
        self.start_ns = BASE_NS + random.randrange(10**15) * US
        self.trace, self.slow, self.unnamed = (random.getrandbits(120) for _ in range(3))
        gateway = {"service.name": GATEWAY, "host.cores": 8}
        tools = {"service.name": TOOLS, "deployment.environment": f"env-{self.trace}"}
        root = PlainSpan(
            trace=self.trace,
            span=1,
            name="POST /orders",
            kind=2,
            start_ns=self.start_ns,
            end_ns=self.start_ns + 2_500_999,
            resource=gateway,
            scope="http",
            attributes={
                "http.status_code": 500,
                "ratio": 0.5,
                "cached": False,
                "user": "Zoë",
                "list": [1, "a"],
                "big": 2**53 + 1,
                "data": b"\xff",
            },
        )
        child = PlainSpan(
            trace=self.trace,
            span=2,
            parent=1,
            name="look up",
            kind=3,
            status=2,
            message="no such order",
            start_ns=self.start_ns + 1_000_000,
            end_ns=self.start_ns + 2_000_000,
            resource=tools,
            attributes={"user": "Zoë"},
            events=[(self.start_ns + 1_500_000, "exception", {"exception.type": "KeyError"})],
            links=[(self.slow, 9, {})],
        )
        slow = PlainSpan(
            trace=self.slow,
            span=9,
            name="look up",
            start_ns=self.start_ns + 5_000_000,
            end_ns=self.start_ns + 5_000_000_000,
            resource=tools,
        )
        unnamed = PlainSpan(trace=self.unnamed, span=5, start_ns=self.start_ns, end_ns=self.start_ns)
        telemetry.send([root, child, slow, unnamed])
        self.window = {"start": str(self.start_ns // US), "end": str(self.start_ns // US + 10_000_000)}


@pytest.fixture(scope="module")
def told(telemetry: Telemetry) -> Told:
    return Told(telemetry)


def data_of(answer: httpx.Response) -> list[Any]:
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["total"], body["limit"], body["offset"]) == (len(body["data"]), 0, 0)
    assert body["errors"] is None
    found: list[Any] = body["data"]
    return found


def refusal(answer: httpx.Response, status: int = 400) -> str:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert (body["data"], body["total"]) == (None, 0)
    [error] = body["errors"]
    assert error["code"] == status
    message: str = error["msg"]
    return message


def ids(found: list[dict[str, Any]]) -> list[int]:
    return [int(trace["traceID"], 16) for trace in found]


def test_services_and_their_operations(client: httpx.Client, told: Told) -> None:
    assert {GATEWAY, TOOLS, "OTLPResourceNoServiceName"} <= set(data_of(client.get(f"{API}/services")))
    # Grafana joins the name to the path with its slash as it is, Jaeger's page escapes it.
    for name in (GATEWAY, quote(GATEWAY, safe="")):
        assert data_of(client.get(f"{API}/services/{name}/operations")) == ["POST /orders"]
    assert data_of(client.get(f"{API}/services/unknown/operations")) == []
    operations = f"{API}/operations?service={TOOLS}"
    assert {"name": "look up", "spanKind": "client"} in data_of(client.get(operations))
    assert data_of(client.get(f"{operations}&spanKind=server")) == []
    assert "service is missing" in refusal(client.get(f"{API}/operations"))


def test_a_trace_has_the_form_of_jaeger(client: httpx.Client, told: Told) -> None:
    trace_id = f"{told.trace:032x}"
    [trace] = data_of(client.get(f"{API}/traces/{trace_id}"))
    assert trace["traceID"] == trace_id and trace["warnings"] is None
    gateway, tools = trace["processes"]["p1"], trace["processes"]["p2"]
    assert gateway == {
        "serviceName": GATEWAY,
        "tags": [{"key": "host.cores", "type": "int64", "value": 8}],
    }
    assert tools["serviceName"] == TOOLS
    root, child = trace["spans"]
    start_us = told.start_ns // US
    assert root["spanID"] == "0000000000000001" and root["processID"] == "p1"
    assert (root["startTime"], root["duration"], root["references"]) == (start_us, 2_500, [])
    assert (child["startTime"], child["duration"], child["processID"]) == (start_us + 1_000, 1_000, "p2")
    assert child["references"] == [
        {"refType": "CHILD_OF", "traceID": trace_id, "spanID": "0000000000000001"},
        {"refType": "FOLLOWS_FROM", "traceID": f"{told.slow:032x}", "spanID": "0000000000000009"},
    ]
    tags = {tag["key"]: (tag["type"], tag["value"]) for tag in root["tags"]}
    assert tags == {
        "http.status_code": ("int64", 500),
        "ratio": ("float64", 0.5),
        "cached": ("bool", False),
        "user": ("string", "Zoë"),
        "list": ("string", '[1,"a"]'),
        "big": ("int64", 2**53 + 1),
        "data": ("string", "/w=="),
        "otel.scope.name": ("string", "http"),
        "span.kind": ("string", "server"),
    }
    tags = {tag["key"]: (tag["type"], tag["value"]) for tag in child["tags"]}
    assert tags["error"] == ("bool", True)
    assert tags["otel.status_code"] == ("string", "ERROR")
    assert tags["otel.status_description"] == ("string", "no such order")
    [log] = child["logs"]
    assert log["timestamp"] == start_us + 1_500
    assert {field["key"]: field["value"] for field in log["fields"]} == {
        "event": "exception",
        "exception.type": "KeyError",
    }


def test_ids_of_traces(client: httpx.Client, told: Told) -> None:
    path = f"{API}/traces"
    # Grafana's backend adds the time of the panel in milliseconds; older senders leave out zeros.
    short = f"{path}/{told.trace:X}?start=1000&end=2000"
    assert ids(data_of(client.get(short))) == [told.trace]
    assert refusal(client.get(f"{path}/{'f' * 32}"), 404) == "trace not found"
    for wrong in ("xyz", "f" * 33, "0x12", "%00", "-1"):
        assert "trace id" in refusal(client.get(f"{path}/{wrong}"))
    several = client.get(path, params={"traceID": [f"{told.trace:032x}", f"{told.slow:x}", "abc"]})
    assert set(ids(several.json()["data"])) == {told.trace, told.slow}
    [missing] = several.json()["errors"]
    assert (missing["msg"], int(missing["traceID"], 16)) == ("trace not found", 0xABC)


SEARCHES: list[tuple[dict[str, str], list[str]]] = [
    ({"service": TOOLS}, ["slow", "trace"]),
    ({"service": GATEWAY}, ["trace"]),
    ({"service": "OTLPResourceNoServiceName"}, ["unnamed"]),
    ({"service": "unknown"}, []),
    ({"service": TOOLS, "operation": "look up"}, ["slow", "trace"]),
    # One span must fulfil all conditions.
    ({"service": TOOLS, "operation": "POST /orders"}, []),
    ({"service": TOOLS, "minDuration": "1s"}, ["slow"]),
    ({"service": TOOLS, "maxDuration": "1.5ms"}, ["trace"]),
    ({"service": TOOLS, "minDuration": "900us", "maxDuration": "1000µs"}, ["trace"]),
    ({"service": TOOLS, "limit": "1"}, ["slow"]),
    ({"service": GATEWAY, "tags": '{"http.status_code":"500"}'}, ["trace"]),
    ({"service": GATEWAY, "tags": '{"http.status_code":"501"}'}, []),
    ({"service": GATEWAY, "tags": '{"ratio":"0.5","cached":"false","user":"Zoë"}'}, ["trace"]),
    ({"service": GATEWAY, "tags": '{"host.cores":"8"}'}, ["trace"]),
    ({"service": TOOLS, "tags": '{"host.cores":"8"}'}, []),
    ({"service": TOOLS, "tags": '{"error":"true"}'}, ["trace"]),
    ({"service": TOOLS, "tags": '{"error":"false"}'}, ["slow"]),
    ({"service": TOOLS, "tag": "span.kind:client"}, ["trace"]),
    ({"service": TOOLS, "spanKind": "client"}, ["trace"]),
    ({"service": TOOLS, "spanKind": "no-such"}, []),
    ({"service": TOOLS, "tags": '{"otel.status_code":"ERROR"}', "lookback": "custom"}, ["trace"]),
    ({"service": TOOLS, "tags": "{}", "operation": "", "minDuration": "", "tag": "user:Zoë"}, ["trace"]),
    ({"service": TOOLS, "tags": '{"user":"\' OR 1=1 --"}'}, []),
    ({"service": "' OR '1'='1"}, []),
    ({"service": "\ud800".encode("utf-8", "surrogatepass").decode("latin-1")}, []),
]


@pytest.mark.parametrize(("asked", "expected"), SEARCHES)
def test_traces_are_searched(
    client: httpx.Client, told: Told, asked: dict[str, str], expected: list[str]
) -> None:
    found = data_of(client.get(f"{API}/traces", params=told.window | asked))
    assert ids(found) == [getattr(told, name) for name in expected]
    if expected == ["trace"]:
        assert len(found[0]["spans"]) == 2


def test_what_grafana_asks_for(client: httpx.Client, told: Told) -> None:
    """Requests of the data source's backend, with its order of parameters and its escapes."""
    start, end = told.window["start"], told.window["end"]
    search = (
        f"{API}/traces?end={end}&limit=20&maxDuration=10s&minDuration=1us&operation=look+up&service=tools&start={start}"
        "&tags=%7B%22error%22%3A%22true%22%7D"
    )
    assert ids(data_of(client.get(search))) == [told.trace]
    # Without the time of the panel, as before Grafana 12; the data source's test asks for services only.
    without = f"{API}/traces?limit=1500&service={quote(GATEWAY)}"
    assert told.trace in ids(data_of(client.get(without)))
    end_ms = int(end) // 1_000
    calls = data_of(client.get(f"{API}/dependencies?endTs={end_ms}&lookback=10000"))
    assert calls == [{"parent": GATEWAY, "child": TOOLS, "callCount": 1}]
    assert data_of(client.get(f"{API}/dependencies?endTs={end_ms}&lookback=10000&service=unknown")) == []
    assert data_of(client.get(f"{API}/dependencies?endTs=1&lookback=1")) == []


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({}, "service is missing"),
        ({"service": TOOLS, "start": "yesterday"}, "start is 'yesterday'"),
        ({"service": TOOLS, "end": "-1"}, "end is '-1'"),
        ({"service": TOOLS, "limit": "many"}, "limit is 'many'"),
        ({"service": TOOLS, "limit": "0"}, "limit is '0'"),
        ({"service": TOOLS, "minDuration": "5"}, "minDuration is '5'"),
        ({"service": TOOLS, "minDuration": "9" * 15 + "h"}, "minDuration"),
        ({"service": TOOLS, "minDuration": "2s", "maxDuration": "1s"}, "maxDuration is less"),
        ({"service": TOOLS, "lookback": "long"}, "lookback is 'long'"),
        ({"service": TOOLS, "tags": "error=true"}, "tags is 'error=true'"),
        ({"service": TOOLS, "tags": '{"a": 1}'}, "tags is"),
        ({"service": TOOLS, "tags": "[" * 3000}, "tags is"),
        ({"service": TOOLS, "tags": json.dumps({str(n): "" for n in range(33)})}, "33 entries"),
        ({"service": TOOLS, "tag": "error"}, "tag is 'error'"),
        ({"service": "x" * 5000}, "5000 characters"),
        ({"service": TOOLS, "traceID": "xyz"}, "'xyz' is not a trace id"),
        ({"service": TOOLS, "limits": "3"}, "did you mean `limit`"),
    ],
)
def test_wrong_searches(client: httpx.Client, asked: dict[str, str], named: str) -> None:
    assert named in refusal(client.get(f"{API}/traces", params=asked))


def test_extreme_values_are_bounded(client: httpx.Client, told: Told) -> None:
    most = {"service": TOOLS, "start": "0", "end": "9" * 19, "limit": "9" * 19, "maxDuration": "1000000h"}
    assert {told.trace, told.slow} <= set(ids(data_of(client.get(f"{API}/traces", params=most))))
    assert data_of(client.get(f"{API}/dependencies?endTs={'9' * 19}&lookback={'9' * 19}"))
    assert refusal(client.get(f"{API}/dependencies?lookback=1d")).startswith("lookback is '1d'")


def test_a_large_trace_is_cut(client: httpx.Client, telemetry: Telemetry) -> None:
    trace = random.getrandbits(120)
    resource = {"service.name": f"large-{trace}"}
    first = BASE_NS - 10**15
    spans = [
        PlainSpan(trace=trace, span=2**50 + n, start_ns=first + n * US, resource=resource)
        for n in range(1, 10_002)
    ]
    telemetry.send(spans[:5000])
    telemetry.send(spans[5000:])
    for query in (f"/{trace:032x}", f"?service=large-{trace}"):
        answer = client.get(f"{API}/traces{query}", timeout=60)
        [found] = data_of(answer)
        assert len(found["spans"]) == 10_000
        assert found["spans"][-1]["spanID"] == f"{2**50 + 10_000:016x}"
        assert found["warnings"] == ["1 spans of this trace are left out"]
        assert answer.headers["x-truncated"] == "true"


def test_reading_is_not_recorded_and_callers_are_checked(client: httpx.Client, told: Told) -> None:
    assert data_of(client.get(f"{API}/services"))
    assert refusal(client.get(f"{API}/services", headers={"host": "evil.example"}), 403)
    assert "POST" in refusal(client.post(f"{API}/services"), 405)
    assert refusal(client.get(f"{API}/archive/x"), 404)
    own = client.get(f"{API}/traces", params={"service": "replaystack", "limit": "1500"})
    names = {span["operationName"] for trace in data_of(own) for span in trace["spans"]}
    assert not [name for name in names if "jaeger" in name]


def test_the_server_itself_is_a_service(client: httpx.Client) -> None:
    client.get("/v1alpha/agents").raise_for_status()
    assert "replaystack" in data_of(client.get(f"{API}/services"))
