"""Traces as a table on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stack.cli.plain_text import plain
from stack.cli.trace_text import duration_text, in_and_out, times_of
from stack.cli.trace_tree import WIDE

ID_CHARACTERS = 12
"""Characters of an id that are shown on a narrow terminal: `replaystack trace` accepts the beginning of an
id."""
_RIGHT = ("took", "spans", "errors", "tokens")


def show_traces(out: Console, traces: Sequence[Mapping[str, Any]]) -> None:
    rows = [_row(trace, out.width >= WIDE) for trace in traces]
    for column in ("errors", "tokens"):
        if not any(row[column] for row in rows):
            for row in rows:
                del row[column]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False, expand=True)
    for column in rows[0]:
        # On a narrow terminal only names, models and services are shortened.
        flexible = {"name": 4, "models": 2, "service": 1}.get(column)
        width = max(len(column), *(row[column].cell_len for row in rows))
        table.add_column(
            column,
            justify="right" if column in _RIGHT else "left",
            width=None if flexible else width,
            ratio=flexible,
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in rows:
        table.add_row(*row.values())
    out.print(table)


def _row(trace: Mapping[str, Any], wide: bool) -> dict[str, Text]:
    start, end = times_of(trace)
    errors = trace.get("error_count", 0)
    began = trace["start_time"][:23].replace("T", " ")
    row = {
        "trace": Text(trace["trace_id"] if wide else trace["trace_id"][:ID_CHARACTERS], "bold"),
        "at (UTC)": Text(began if wide else began[11:19]),
        "took": Text(duration_text(end - start)),
        "spans": Text(f"{trace['span_count']:,}"),
        "errors": Text(f"{errors:,}" if errors else "", "bold red"),
        "tokens": Text(in_and_out(trace.get("input_tokens"), trace.get("output_tokens")), "cyan"),
        "name": plain(trace["name"], 200),
    }
    if trace["status"] == "error":
        row["name"].stylize("red")
    if wide:
        row["models"] = plain(", ".join(trace.get("models", ())), 200)
        row["service"] = plain(trace.get("service", ""), 100)
    return row
