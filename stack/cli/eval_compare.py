"""Compares two jobs and shows what became better, worse or different."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click
import msgspec
from rich.table import Table
from rich.text import Text

from stack.cli.connection import Connection
from stack.cli.eval_job import JobName, path_of
from stack.cli.eval_tables import console
from stack.cli.plain_text import plain

ANSWER_CHARACTERS = 60
_COLOURS = {"worse": "red", "better": "green", "changed": "yellow"}
_METHODS = {
    "newcombe": "Newcombe's interval for paired proportions",
    "paired-t": "Student's t over the differences",
}


def compared(connection: Connection, a: str, b: str, benchmark: str | None, rows: int) -> dict[str, Any]:
    """Returns the server's comparison. Raises UsageError, AnswerError."""
    first, second = JobName.parse(a, benchmark), JobName.parse(b, benchmark)
    if first.benchmark != second.benchmark:
        raise click.UsageError(
            f"{first.name} and {second.name} are jobs of different benchmarks, which have no rows in common."
        )
    query = f"a={first.job_id}&b={second.job_id}&limit={rows}"
    found: dict[str, Any] = connection.ask("GET", f"{path_of(first.benchmark)}/compare?{query}")
    return found


def worse(found: Mapping[str, Any], tolerance: float, certain: bool) -> list[str]:
    """Returns the functions whose mean is more than `tolerance` lower in b; with `certain` only those for
    which the whole interval of the difference is below that."""
    lower = []
    for function, of in found["scoring_functions"].items():
        scores = of["scores"]
        bound = scores.get("interval", {}).get("high") if certain else scores.get("difference")
        if bound is not None and bound < -tolerance:
            lower.append(function)
    return lower


def show(found: Mapping[str, Any], refused: Sequence[str], as_json: bool) -> None:
    """Prints the comparison. `refused` are the functions for which the command fails."""
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode({**found, "worse": list(refused)})))
        return
    out = console()
    for side in ("a", "b"):
        job = found[side]
        failed = f", {job['num_failed']} failed" if job["num_failed"] else ""
        out.print(
            f"[bold]{side.upper()}[/]",
            plain(f"{found['benchmark_id']}/{job['job_id']}"),
            plain(_candidate(job["candidate"])),
            Text(
                f"{plain(job['status'])}, {job['num_rows']} rows{failed}, dataset version "
                f"{job.get('dataset_version', 'none')}",
                "dim",
            ),
        )
    out.print(f"{found['compared']} rows compared{_left_out(found)}\n")
    out.print(_summary(found))
    for function, of in found["scoring_functions"].items():
        if of["rows"]:
            out.print()
            out.print(_rows(function, of))
    for function in refused:
        out.print("\n[red]B is worse than A[/] by", plain(function))


def _candidate(candidate: Mapping[str, Any]) -> str:
    if candidate["type"] == "model":
        return str(candidate["model"])
    return f"agent {candidate['config'].get('name', '')} with {candidate['config']['model']}".replace(
        "  ", " "
    )


def _left_out(found: Mapping[str, Any]) -> str:
    said = {
        "only_a": "only in A",
        "only_b": "only in B",
        "other_input": "with another input in each",
    }
    parts = [f"{found[name]} {text}" for name, text in said.items() if found[name]]
    return f" ({', '.join(parts)}: left out)" if parts else ""


def _summary(found: Mapping[str, Any]) -> Table:
    table = _table()
    for column in ("scoring function", "mean A", "mean B", "difference", "95 % interval"):
        table.add_column(column, justify="left" if column == "scoring function" else "right")
    for column in ("better", "worse", "changed", "same"):
        table.add_column(column, justify="right", style=_COLOURS.get(column, ""))
    methods = set()
    for function, of in found["scoring_functions"].items():
        scores, interval = of["scores"], of["scores"].get("interval")
        methods.add(scores.get("method"))
        table.add_row(
            plain(function),
            *(
                _number(scores.get(name), sign)
                for name, sign in (("mean_a", ""), ("mean_b", ""), ("difference", "+"))
            ),
            f"{interval['low']:+.3f} .. {interval['high']:+.3f}" if interval else "",
            *(str(of[name]) for name in ("better", "worse", "changed", "same")),
        )
    table.caption = "; ".join(_METHODS[method] for method in sorted(methods - {None}))
    table.caption_justify = "left"
    return table


def _rows(function: str, of: Mapping[str, Any]) -> Table:
    table = _table()
    table.title = plain(function)
    table.title_justify = "left"
    for column in ("row", "change", "score A", "score B", "answer A", "answer B"):
        table.add_column(column, justify="right" if column == "row" else "left")
    for one in of["rows"]:
        table.add_row(
            str(one["row"]),
            f"[{_COLOURS[one['change']]}]{one['change']}[/]",
            _score(one["a"]),
            _score(one["b"]),
            plain(one["answer_a"], ANSWER_CHARACTERS),
            plain(one["answer_b"], ANSWER_CHARACTERS),
        )
    if of["has_more"]:
        table.add_row("", "[dim]and more[/]")
    return table


def _table() -> Table:
    return Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)


def _number(value: float | None, sign: str) -> str:
    return "" if value is None else f"{value:{sign}.3f}"


def _score(row: Mapping[str, Any]) -> Any:
    return "[red]error[/]" if "error" in row else plain(str(row.get("score", "")), 12)
