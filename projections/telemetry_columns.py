"""The columns in which telemetry is inserted into its tables. Empty texts, zero ids and zero times mean
missing."""

from __future__ import annotations

from collections.abc import Mapping

from projections.warehouse.column_batch import Kind

Columns = Mapping[str, Kind]

RESOURCES: Columns = {"resource_id": "u64", "attributes": "text", "schema_url": "text", "dropped": "u32"}
SCOPES: Columns = {
    "scope_id": "u64",
    "name": "text",
    "version": "text",
    "attributes": "text",
    "schema_url": "text",
    "dropped": "u32",
}
SPANS: Columns = {
    "trace_id": "id",
    "span_id": "u64",
    "parent_span_id": "u64",
    "trace_state": "text",
    "flags": "u32",
    "name": "text",
    "kind": "u8",
    "status": "u8",
    "status_message": "text",
    "start_ns": "i64",
    "end_ns": "i64",
    "dropped_attributes": "u32",
    "dropped_events": "u32",
    "dropped_links": "u32",
    "resource_id": "u64",
    "scope_id": "u64",
    "operation_name": "text",
    "provider_name": "text",
    "request_model": "text",
    "response_model": "text",
    "response_id": "text",
    "conversation_id": "text",
    "agent_id": "text",
    "agent_name": "text",
    "turn_id": "text",
    "step_id": "text",
    "tool_name": "text",
    "tool_call_id": "text",
    "error_type": "text",
    "input_tokens": "i64",
    "output_tokens": "i64",
    # Fragments of JSON text, `"key":value`, one per attribute, separated by the byte 1e.
    "fragments": "text",
    "events": "text",
    "links": "text",
    "size": "i32",
}
STREAMS: Columns = {
    "identity": "u64",
    "name": "text",
    "description": "text",
    "unit": "text",
    "kind": "text",
    "temporality": "text",
    "is_monotonic": "u8",
    "labels": "text",
    "resource_id": "u64",
    "scope_id": "u64",
}
POINTS: Columns = {
    "identity": "u64",
    "time_ns": "i64",
    "start_ns": "i64",
    "value": "f64",
    "whole": "i64",
    "is_whole": "u8",
}
# The bits of `held` are described in `projections/sql/writes/histograms_arrive.sql`.
HISTOGRAMS: Columns = {
    "identity": "u64",
    "time_ns": "i64",
    "start_ns": "i64",
    "count": "u64",
    "held": "u8",
    "total": "f64",
    "minimum": "f64",
    "maximum": "f64",
    "bounds": "f64s",
    "counts": "u64s",
    "quantiles": "f64s",
    "scale": "i32",
    "zero_count": "u64",
    "zero_threshold": "f64",
    "positive_offset": "i32",
    "positive_counts": "u64s",
    "negative_offset": "i32",
    "negative_counts": "u64s",
}
LOGS: Columns = {
    "time_ns": "i64",
    "observed_ns": "i64",
    "severity": "u8",
    "severity_text": "text",
    "event_name": "text",
    "body": "text",
    "attributes": "text",
    "dropped_attributes": "u32",
    "flags": "u32",
    "trace_id": "id",
    "span_id": "u64",
    "resource_id": "u64",
    "scope_id": "u64",
}
NO_COUNT = -(2**63)
"""Represents a missing count in the columns of tokens."""

NUMBER: Columns = {"number": "i64"}
"""The last column of rows that are numbered; see `projections/sql/tables/spans_recent.sql`."""
NUMBERS_PER_POSITION = 1 << 20
"""Requests with more rows are refused (`telemetry/wire/decoded.py`)."""
