"""`replaystack export SESSION`: a recorded session as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from stack.cli.target import target, target_options


@click.command(name="export")
@click.argument("session_id", metavar="SESSION")
@target_options
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    default="-",
    help="The file; the standard output by default. Name it name.session.jsonl.",
)
@click.option(
    "--as",
    "form",
    default="session",
    show_default=True,
    help="The form of the file: session, atif, otlp or sft.",
)
@click.option(
    "--redact",
    "builtin",
    multiple=True,
    metavar="NAME",
    help="Replace what a built-in pattern finds: email, api_key, bearer, card, or all of them.",
)
@click.option(
    "--redact-pattern",
    "patterns",
    multiple=True,
    metavar="NAME=REGEX",
    help="Replace what a pattern (RE2) finds.",
)
@click.option(
    "--redact-path",
    "paths",
    multiple=True,
    metavar="[NAME=]PATH",
    help="Replace the values at a JSON path such as $..password, and wherever else they occur.",
)
@click.option(
    "--redact-rules",
    "rules",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A TOML or JSON file with builtin, patterns and paths.",
)
def command(session_id: str, out: Path, form: str, rules: Path | None, **options: Any) -> None:
    """Write the session with the id SESSION to a file: all that is recorded of it, so that it can be imported
    elsewhere, shown, and run again as a test.

    Redaction takes place here, before anything is written: each value becomes a placeholder such as [email:1], the same one
    for the same value.
    """
    from stack.cli.session_transfer import chosen_rules, export

    redaction = chosen_rules(rules, options.pop("builtin"), options.pop("patterns"), options.pop("paths"))
    export(target(options), session_id, out, form, redaction)
