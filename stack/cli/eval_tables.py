"""Tables of benchmarks, of jobs, and of a job's results."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stack.cli import terminal
from stack.cli.connection import Connection
from stack.cli.eval_job import BENCHMARKS, path_of
from stack.cli.plain_text import plain

SHOWN_ERRORS = 5
_COLOURS = {"completed": "green", "failed": "red", "cancelled": "yellow"}


def console() -> Console:
    """Returns the console for tables. Without a terminal they are as wide as necessary."""
    return terminal.console(wide=160)


def show_list(connection: Connection, benchmark: str | None) -> None:
    if benchmark is None:
        table = _table("benchmark", "dataset", "scoring functions")
        for one in connection.ask("GET", BENCHMARKS)["data"]:
            functions = ", ".join(one["scoring_functions"])
            table.add_row(plain(one["identifier"]), plain(one["dataset_id"]), plain(functions))
        console().print(table)
        return
    table = _table("job", "status", "rows", "failed", "tokens in/out", "dataset version", "scheduled at")
    for job in connection.ask("GET", f"{path_of(benchmark)}/jobs")["data"]:
        outcome = connection.ask("GET", f"{path_of(benchmark)}/jobs/{job['job_id']}/outcome")
        table.add_row(
            plain(f"{benchmark}/{job['job_id']}"),
            plain(outcome["status"]),
            f"{outcome['num_done']}/{outcome['num_rows']}",
            str(outcome["num_failed"]),
            _tokens(outcome),
            str(outcome.get("dataset_version", "")),
            outcome["created_at"][:19].replace("T", " "),
        )
    console().print(table)


def show_outcome(name: str, outcome: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """Prints how a job ended, the aggregated scores, and the first rows that failed."""
    out = console()
    status, seconds = outcome["status"], _seconds(outcome)
    out.print(plain(name), Text(terminal.one_line(status), _COLOURS.get(status, "default")), end="")
    rate = f" ({outcome['num_done'] / seconds:.1f} a second)" if seconds else ""
    out.print(
        f": {outcome['num_done']} of {outcome['num_rows']} rows in {seconds:.2f} s{rate}, "
        f"{outcome['num_failed']} failed, tokens in/out {_tokens(outcome)}"
    )
    if "dataset_id" in outcome:
        out.print("dataset", plain(outcome["dataset_id"]), f"version {outcome['dataset_version']}")
    if "error" in outcome:
        out.print("[red]error[/]", plain(outcome["error"]["detail"], 500))
    table = _table("scoring function", "aggregate", "result", "rows", "failed")
    for function, scores in result["scores"].items():
        for aggregate, values in scores["aggregated_results"].items():
            failed = values.get("num_failed", 0)
            table.add_row(
                plain(function),
                plain(aggregate),
                plain(_shown(aggregate, values)),
                str(len(scores["score_rows"])),
                str(failed),
            )
    if table.row_count:
        out.print()
        out.print(table)
    _show_errors(out, result)


def _show_errors(out: Console, result: Mapping[str, Any]) -> None:
    errors = [(row, one["error"]) for row, one in enumerate(result["generations"]) if "error" in one]
    if not errors:
        return
    table = _table("row", "error")
    for row, error in errors[:SHOWN_ERRORS]:
        table.add_row(str(row), plain(error, 200))
    if len(errors) > SHOWN_ERRORS:
        table.add_row("", f"[dim]{len(errors) - SHOWN_ERRORS} more[/]")
    out.print()
    out.print(table)


def _shown(aggregate: str, values: Mapping[str, Any]) -> str:
    """Formats an aggregate for people: 0.625 (25 of 40)."""
    value = values.get(aggregate)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {count}" for key, count in value.items())
    text = f"{value:.4g}" if isinstance(value, int | float) else str(values.get("error", "none"))
    if "num_correct" in values and values["num_correct"] is not None:
        text += f" ({values['num_correct']:g} of {values['num_total']})"
    return text


def _tokens(outcome: Mapping[str, Any]) -> str:
    usage = outcome["usage"]
    return f"{usage.get('input_tokens', '?')}/{usage.get('output_tokens', '?')}"


def _seconds(outcome: Mapping[str, Any]) -> float:
    if "completed_at" not in outcome:
        return 0.0
    began, ended = (datetime.fromisoformat(outcome[name]) for name in ("created_at", "completed_at"))
    return (ended - began).total_seconds()


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
