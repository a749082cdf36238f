"""OTLP's messages with their attributes left encoded.

Protobuf can read a field of messages as a field of bytes. A span with 12 attributes is then parsed in 0.3 us,
and a known attribute is recognised by its bytes: decoding all of them again takes 14 us.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FileDescriptor

from telemetry.log.port import Signal

_COMMON = ".opentelemetry.proto.common.v1."
_TRACE = ".opentelemetry.proto.trace.v1."
_RAW = {
    f"{_COMMON}KeyValue",
    f"{_COMMON}AnyValue",
    f"{_COMMON}InstrumentationScope",
    ".opentelemetry.proto.resource.v1.Resource",
    ".opentelemetry.proto.metrics.v1.Exemplar",
    f"{_TRACE}Span.Event",
    f"{_TRACE}Span.Link",
    f"{_TRACE}Status",
}
_REQUESTS: dict[Signal, str] = {
    "traces": "opentelemetry.proto.trace.v1.TracesData",
    "metrics": "opentelemetry.proto.metrics.v1.MetricsData",
    "logs": "opentelemetry.proto.logs.v1.LogsData",
}


def request_type(signal: Signal) -> Any:
    """Returns the message type of a signal's export requests. Its encoding is the same as that of the
    signal's `...Data`."""
    return message_type(_REQUESTS[signal])


@cache
def message_type(name: str) -> Any:
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(name))


@cache
def _pool() -> Any:
    from opentelemetry.proto.common.v1 import common_pb2
    from opentelemetry.proto.logs.v1 import logs_pb2
    from opentelemetry.proto.metrics.v1 import metrics_pb2
    from opentelemetry.proto.resource.v1 import resource_pb2
    from opentelemetry.proto.trace.v1 import trace_pb2

    pool = descriptor_pool.DescriptorPool()
    for file in (common_pb2, resource_pb2, trace_pb2, metrics_pb2, logs_pb2):
        pool.Add(_with_raw_fields(file.DESCRIPTOR))
    return pool


def _with_raw_fields(file: FileDescriptor) -> descriptor_pb2.FileDescriptorProto:
    copied = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(copied)
    messages = list(copied.message_type)
    while messages:
        message = messages.pop()
        messages += message.nested_type
        for field in message.field:
            # Attributes that are values themselves, in nested lists, are decoded completely.
            if field.type_name in _RAW and not (copied.package.endswith("common.v1") and _is_value(message)):
                field.type = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
                field.ClearField("type_name")
    return copied


def _is_value(message: descriptor_pb2.DescriptorProto) -> bool:
    return message.name in ("AnyValue", "ArrayValue", "KeyValueList", "KeyValue")
