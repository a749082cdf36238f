"""Writes of the store of spans: what arrives, and chunks that are moved to where old ones are."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from projections.plan import in_schema
from projections.warehouse import Transaction

CHUNK = 122_880
"""Spans that are moved at once: whole row groups."""


def arrive(transaction: Transaction, schema: str, columns: Mapping[str, Any]) -> None:
    """Adds spans. `columns` are numpy arrays: those of `spans_recent` by name, where `trace_id` is text of 32 hex digits
    and `pairs` what `attribute_pairs.joined` gives."""
    transaction.run_with(in_schema(_sql("spans_arrive"), schema), "incoming", columns)


def move(transaction: Transaction, schema: str, first: int, last: int) -> None:
    """Moves the spans whose numbers lie between these, both included."""
    transaction.run("CREATE OR REPLACE TEMP TABLE moving AS SELECT ? AS first, ? AS last", [first, last])
    transaction.run(in_schema(_sql("spans_move"), schema))
    transaction.run("DROP TABLE moving")


@cache
def _sql(name: str) -> str:
    return (files(__package__) / "sql" / "writes" / f"{name}.sql").read_text(encoding="utf-8")
