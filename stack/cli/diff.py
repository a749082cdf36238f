"""`replaystack diff A B`: two sessions compared turn by turn."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from stack.cli.target import target, target_options
from stack.cli.verdict_command import VerdictCommand


@click.command(name="diff", cls=VerdictCommand)
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@target_options
@click.option("--score", "function", metavar="FUNCTION", help="Score the answers, such as basic::subset_of.")
@click.option(
    "--expected",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The expected answers for --score, one a line in the order of the turns, an empty line for none; by default B is "
    "scored against A.",
)
@click.option("--exit-code", is_flag=True, help="End with 1 if the sessions differ; 4 is an error.")
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON.")
def command(
    a: str,
    b: str,
    function: str | None,
    expected: Path | None,
    exit_code: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Compare two sessions, given by their ids: words of the answers, calls of tools, tokens, time, and scores.

    Turns that a fork shares with its parent are the same by definition; a turn in the middle of which it was forked is
    compared like any other.
    """
    import msgspec

    from stack.cli.session_diff import compare
    from stack.cli.session_reading import Scoring, scored, shown

    if expected is not None and function is None:
        raise click.UsageError("--expected needs a function: --score FUNCTION.")
    server = target(options)
    sides = shown(server, a), shown(server, b)
    if function is not None:
        lines = None if expected is None else expected.read_text().splitlines()
        sides = scored(server, Scoring(function, lines), *sides)
    diff = compare(*sides)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(diff)))
    else:
        from stack.cli import terminal
        from stack.cli.session_diff_text import show

        show(terminal.console(wide=160), diff, [side.session for side in sides])
    sys.exit(1 if exit_code and diff.differs else 0)
