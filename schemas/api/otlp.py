"""OpenTelemetry's protocol over HTTP in its JSON form (not part of the Llama Stack specification): the outermost of its messages."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class ExportTracesRequest(Struct, frozen=True, kw_only=True, rename="camel"):
    """Spans, by what made them."""

    resource_spans: list[dict[str, Any]] | None = None


class ExportMetricsRequest(Struct, frozen=True, kw_only=True, rename="camel"):
    """Points of metrics, by what made them."""

    resource_metrics: list[dict[str, Any]] | None = None


class ExportLogsRequest(Struct, frozen=True, kw_only=True, rename="camel"):
    """Log records, by what made them."""

    resource_logs: list[dict[str, Any]] | None = None


class PartialSuccess(Struct, frozen=True, kw_only=True, rename="camel"):
    """What was left out, and why: of spans, points or records."""

    rejected_spans: str | None = None
    rejected_data_points: str | None = None
    rejected_log_records: str | None = None
    error_message: str = ""


class ExportResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    """Empty where everything was taken."""

    partial_success: PartialSuccess | None = None


class Status(Struct, frozen=True, kw_only=True):
    """`google.rpc.Status`: why nothing was taken."""

    code: int
    message: str
