"""Prints results: a table for people, JSON for programs; and the command line that every benchmark shares."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

import msgspec

from benchmarks import machine
from benchmarks.result import Result

Run = Callable[[bool], list[Result]]


def options(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: rougher figures in seconds")
    return parser


def standalone(run: Run, subject: str, description: str | None) -> None:
    """The `main` of one benchmark module."""
    arguments = options(description).parse_args()
    show({subject: run(arguments.quick)}, as_json=arguments.json, quick=arguments.quick)


def show(measured: dict[str, list[Result]], *, as_json: bool, quick: bool) -> None:
    """Prints what was measured, by subject, and on what machine."""
    facts = machine.facts()
    if as_json:
        results = [
            {"subject": subject, **msgspec.to_builtins(result), "reached": result.reached}
            for subject, given in measured.items()
            for result in given
        ]
        document = {"machine": facts, "quick": quick, "results": results}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(document)).decode() + "\n")
        return
    print(f"{facts['cpus']} x {facts['processor']}, Python {facts['python']}, {facts['system']}")
    rows = [_row(subject, result) for subject, given in measured.items() for result in given]
    _table([("subject", "what", "value", "lowest .. highest", "unit", "bar", "reached"), *rows])


def _row(subject: str, result: Result) -> tuple[str, ...]:
    spread = (
        "" if result.low is None or result.high is None else f"{_short(result.low)} .. {_short(result.high)}"
    )
    sign = "<=" if result.better == "lower" else ">="
    bar = "" if result.bar is None else f"{sign} {_short(result.bar)}"
    reached = {True: "yes", False: "NO", None: ""}[result.reached]
    return subject, result.name, _short(result.value), spread, result.unit, bar, reached


def _short(value: float) -> str:
    """Three digits that count; whole from a hundred on."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def _table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    right = {2, 3, 5}
    for number, row in enumerate(rows):
        cells = [
            text.rjust(width) if column in right else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
        if not number:
            print("  ".join("-" * width for width in widths))
