"""`replaystack import FILE`: a recorded session of another server, or of another tool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from stack.cli.target import target, target_options


@click.command(name="import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True, allow_dash=True))
@target_options
@click.option("--name", help="The session's name here, instead of its own.")
@click.option("--agent", "agent_id", help="An agent of this server to which the session will belong.")
@click.option(
    "--from",
    "form",
    default="session",
    show_default=True,
    help="The form of the file: session, atif, claude-code, codex or otlp.",
)
def command(file: Path, name: str | None, agent_id: str | None, form: str, **options: Any) -> None:
    """Import a session from FILE: with its ids and times, and with its agent if that is not there yet. All of it is
    imported, or nothing; nothing is run.
    """
    from stack.cli.session_transfer import import_file

    import_file(target(options), file, {"from": form, "name": name, "agent_id": agent_id})
