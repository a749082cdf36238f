"""OTLP over HTTP with JSON (not part of the Llama Stack specification): the outermost messages."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class ExportTracesRequest(Struct, frozen=True, kw_only=True, rename="camel"):
    """Spans, grouped by the resource that produced them."""

    resource_spans: list[dict[str, Any]] | None = None


class ExportMetricsRequest(Struct, frozen=True, kw_only=True, rename="camel"):
    """Metric points, grouped by the resource that produced them."""

    resource_metrics: list[dict[str, Any]] | None = None


class ExportLogsRequest(Struct, frozen=True, kw_only=True, rename="camel"):
    """Log records, grouped by the resource that produced them."""

    resource_logs: list[dict[str, Any]] | None = None


class PartialSuccess(Struct, frozen=True, kw_only=True, rename="camel"):
    """The number of rejected spans, points or records, and the reason."""

    rejected_spans: str | None = None
    rejected_data_points: str | None = None
    rejected_log_records: str | None = None
    error_message: str = ""


class ExportResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    """Empty if everything was accepted."""

    partial_success: PartialSuccess | None = None


class Status(Struct, frozen=True, kw_only=True):
    """`google.rpc.Status`: why the request was rejected."""

    code: int
    message: str
