"""OTLP responses in the form of the request."""

from __future__ import annotations

import msgspec

from telemetry.log.port import Encoding, Signal
from telemetry.wire.decoded import Decoded

INVALID_ARGUMENT, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNAVAILABLE = 3, 4, 8, 14
"""Codes of `google.rpc.Status`."""

_REJECTED: dict[Signal, str] = {
    "traces": "rejectedSpans",
    "metrics": "rejectedDataPoints",
    "logs": "rejectedLogRecords",
}

_encode = msgspec.json.Encoder().encode


def success(signal: Signal, encoding: Encoding, decoded: Decoded) -> bytes:
    """Returns an `Export...ServiceResponse`, with `partial_success` only if something was rejected."""
    if not decoded.rejected:
        return b"{}" if encoding == "json" else b""
    if encoding == "json":
        # 64-bit integers are texts in protobuf's JSON.
        partial = {_REJECTED[signal]: str(decoded.rejected), "errorMessage": decoded.reason}
        return _encode({"partialSuccess": partial})
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    # The responses of metrics and logs are encoded in the same way.
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = decoded.rejected
    response.partial_success.error_message = decoded.reason
    return bytes(response.SerializeToString())


def status(encoding: Encoding, code: int, message: str) -> bytes:
    """Returns a `google.rpc.Status`."""
    if encoding == "json":
        return _encode({"code": code, "message": message})
    from google.rpc.status_pb2 import Status

    return bytes(Status(code=code, message=message).SerializeToString())


def retry_info(delay_s: int, message: str) -> bytes:
    """Returns a `google.rpc.Status` UNAVAILABLE with a `RetryInfo`, for gRPC's `grpc-status-details-bin`."""
    from google.protobuf.any_pb2 import Any
    from google.rpc.error_details_pb2 import RetryInfo
    from google.rpc.status_pb2 import Status

    info, packed = RetryInfo(), Any()
    info.retry_delay.seconds = delay_s
    packed.Pack(info)
    return bytes(Status(code=UNAVAILABLE, message=message, details=[packed]).SerializeToString())
