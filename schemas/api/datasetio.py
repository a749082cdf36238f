"""Appending rows to a dataset (spec tag: DatasetIO)."""

from __future__ import annotations

from msgspec import Raw, Struct


class AppendRowsRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Rows are JSON objects, kept as JSON text."""

    rows: list[Raw]
