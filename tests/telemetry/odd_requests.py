"""Small requests of each signal in both forms, and what becomes of them on a bad line."""

from __future__ import annotations

import random

from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from telemetry.log.port import Encoding, Signal
from tests.telemetry.otlp_json_form import as_json
from tests.telemetry.otlp_metrics import PlainPoint, metrics_request
from tests.telemetry.otlp_requests import BASE_NS, PlainSpan, key_values, trace_request


def logs_request() -> bytes:
    made = LogsData()
    of_resource = made.resource_logs.add()
    of_resource.resource.attributes.extend(key_values({"service.name": "s"}))
    record = of_resource.scope_logs.add().log_records.add(time_unix_nano=BASE_NS, severity_number=9)
    record.body.string_value = "said"
    return bytes(made.SerializeToString())


SPAN = PlainSpan(
    trace=1,
    span=2,
    parent=3,
    attributes={"a": 1, "b": [None, 1.5, b"x"], "gen_ai.request.model": "m"},
    resource={"service.name": "s"},
    scope="lib",
    events=[(BASE_NS, "e", {"x": 1})],
    links=[(4, 5, {})],
    message="no",
)
POINTS = [
    PlainPoint(metric="m", value=5, time_ns=BASE_NS, labels={"a": "b"}),
    PlainPoint(metric="h", kind="histogram", value=(3, 1.5, [1.0], [1, 2]), time_ns=BASE_NS),
]
PROTOBUF: dict[Signal, bytes] = {
    "traces": trace_request([SPAN, SPAN]),
    "metrics": metrics_request(POINTS),
    "logs": logs_request(),
}
JSON: dict[Signal, bytes] = {
    "traces": as_json(TracesData.FromString(PROTOBUF["traces"])),
    "metrics": as_json(MetricsData.FromString(PROTOBUF["metrics"])),
    "logs": as_json(LogsData.FromString(PROTOBUF["logs"])),
}
BODIES: dict[Encoding, dict[Signal, bytes]] = {"protobuf": PROTOBUF, "json": JSON}


def damaged(body: bytes, chance: random.Random) -> bytes:
    made = bytearray(body)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(made))
        match chance.randrange(3):
            case 0:
                made[at] = chance.randrange(256)
            case 1:
                del made[at : at + chance.randint(1, 9)]
            case _:
                made[at:at] = chance.randbytes(chance.randint(1, 9))
    return bytes(made)
