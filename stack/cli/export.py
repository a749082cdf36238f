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
    "--as", "form", default="session", show_default=True, help="The form of the file: session, atif or otlp."
)
def command(session_id: str, out: Path, form: str, **options: Any) -> None:
    """Write the session with the id SESSION to a file: all that is recorded of it, so that it can be imported
    elsewhere, shown, and run again as a test.
    """
    from stack.cli.session_transfer import export

    export(target(options), session_id, out, form)
