"""Description of the receiver of telemetry: OTLP over HTTP in its JSON form."""

from __future__ import annotations

from typing import Any

from schemas.api.otlp import (
    ExportLogsRequest,
    ExportMetricsRequest,
    ExportResponse,
    ExportTracesRequest,
    PartialSuccess,
    Status,
)
from stack.http.spec.components import ANY_OBJECT, Details
from stack.http.spec.operation import Operation

_LISTS = {"type": "array", "items": ANY_OBJECT}

DETAILS: dict[type, Details] = {
    ExportTracesRequest: Details(open=True, schemas={"resourceSpans": _LISTS}),
    ExportMetricsRequest: Details(open=True, schemas={"resourceMetrics": _LISTS}),
    ExportLogsRequest: Details(open=True, schemas={"resourceLogs": _LISTS}),
    ExportResponse: Details(open=True),
    PartialSuccess: Details(open=True),
    Status: Details(open=True),
}

_SIGNALS: tuple[tuple[str, str, Any], ...] = (
    ("traces", "spans", ExportTracesRequest),
    ("metrics", "points of metrics", ExportMetricsRequest),
    ("logs", "log records", ExportLogsRequest),
)


def operations(tag: str) -> tuple[Operation, ...]:
    return tuple(
        Operation(
            method="post",
            path=f"/v1/{signal}",
            id=f"export_{signal}",
            tag=tag,
            summary=f"Take {what} in OpenTelemetry's protocol.",
            description=(
                "OTLP over HTTP: protobuf (`application/x-protobuf`) or JSON, as it is or in gzip or deflate, answered in "
                "the same form. 200 says that they are on disk and found by every later query; `partialSuccess` is there "
                "where some were rejected. Failures are a `google.rpc.Status`: 400 for what cannot be read, 413 above "
                "20 MiB, 503 with `Retry-After` where too much is on its way."
            ),
            body=body,
            answer=ExportResponse,
            failures=Status,
            says="Taken.",
        )
        for signal, what, body in _SIGNALS
    )
