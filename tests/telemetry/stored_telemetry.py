"""A warehouse with spans and metrics in it, written without a server: requests decoded and applied one by one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from projections import sealed_spans
from projections.telemetry_build import Arrival, TelemetryBuild
from projections.warehouse.instance import Warehouse
from projections.warehouse.readers import Served
from telemetry.log.port import Content
from telemetry.wire.receive import receive
from tests.telemetry.otlp_requests import PlainSpan, trace_request
from tests.telemetry.span_oracle import shown

MAX_BYTES = 2**26


class StoredTelemetry:
    """`add` spans, `move` some of them to the stored ones, read by `warehouse.snapshot`."""

    def __init__(self, folder: Path) -> None:
        self.warehouse = Warehouse.open(folder)
        self.build = TelemetryBuild.open(self.warehouse, "epoch", 0)
        self.warehouse.serve("telemetry", Served(self.build.schema))

    def add(self, spans: Sequence[PlainSpan]) -> None:
        self.add_request(Content("traces"), trace_request(spans))

    def add_request(self, content: Content, body: bytes) -> None:
        decoded = receive(content, body, MAX_BYTES)
        self.build.apply([Arrival(self.build.position + 1, decoded.batches)])

    def move(self, count: int) -> None:
        """Moves the oldest `count` spans that are recent to a sealed file."""
        schema = self.build.schema
        with self.warehouse.sealing() as sealed:
            with self.warehouse.write("telemetry") as transaction:
                rows = transaction.rows(
                    f"SELECT number FROM {schema}.spans_recent ORDER BY number LIMIT ?", [count]
                )
            if rows:
                sealed_spans.seal(self.warehouse, sealed, schema, rows[0][0], rows[-1][0])

    def add_streams(self, streams: Sequence[tuple[Any, ...]]) -> None:
        """Rows of `metric_streams`; labels as a dictionary."""
        rows = [
            (stream_id, name, None, unit, kind, temporality, is_monotonic, _text(labels), 0, 0)
            for stream_id, name, unit, kind, temporality, is_monotonic, labels in streams
        ]
        self.add_rows("metric_streams", rows)

    def add_rows(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Rows of a table, the first columns of them."""
        with self.warehouse.write("telemetry") as transaction:
            known = "SELECT column_name FROM duckdb_columns() WHERE database_name = 'telemetry' AND table_name = ?"
            columns = [name for (name,) in transaction.rows(known, [table])]
            for row in rows:
                named, marks = ", ".join(columns[: len(row)]), ", ".join("?" * len(row))
                transaction.run(
                    f"INSERT INTO {self.build.schema}.{table} ({named}) VALUES ({marks})", list(row)
                )

    def clear(self) -> None:
        """As if nothing had ever been sent."""
        with self.warehouse.write("telemetry") as transaction:
            transaction.run("DELETE FROM telemetry.main.served")
        self.build = TelemetryBuild.open(self.warehouse, "epoch", 0)
        self.warehouse.serve("telemetry", Served(self.build.schema))

    def close(self) -> None:
        self.warehouse.close()


def _text(value: Any) -> str:
    return json.dumps(shown(value), ensure_ascii=False, separators=(",", ":"))
