"""`replaystack replay SESSION`: a recorded session, shown as it streamed, or run again as a test."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from stack.cli.options import loaded
from stack.cli.target import target, target_options


@click.command(name="replay")
@click.argument("source", metavar="SESSION|FILE")
@target_options
@click.option("--check", is_flag=True, help="Run it again with what was recorded; it must come out the same.")
@click.option(
    "--scenario",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Run it again with the changes in this TOML file: the agent's configuration, the tools.",
)
@click.option("--against", metavar="MODEL|agent:ID", help="Run it again with a live model, or another agent.")
@click.option("--repeat", type=click.IntRange(1, 1000), help="How often --against runs it.")
@click.option(
    "--unrecorded",
    type=click.Choice(("recorded", "error", "simulate")),
    default="recorded",
    help="What becomes of a call whose result is not recorded: the run ends, an error, or a model takes its place.",
)
@click.option("--live", metavar="TOOL", multiple=True, help="Really call this tool; it must be repeatable.")
@click.option("--simulator", metavar="MODEL", help="The model that takes the place of tools.")
@click.option(
    "--judge", metavar="MODEL", help="The model that compares answers, if the tolerance asks for one."
)
@click.option("--update", is_flag=True, help="Write the new run to FILE in place of the recorded one.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(source: str, **options: Any) -> None:
    """Run a recorded session again: the session with the id SESSION of a server, or a session file.

    The exit code is 0 for identical, 1 for equivalent, 2 for diverged, 3 for unreplayable.
    """
    from stack.cli.replay_check import Wanted, replay_again
    from stack.cli.replay_models import LiveModels
    from stack.cli.session_transfer import SESSION, exported

    file = Path(source)
    is_file = file.is_file()
    if not (options["check"] or options["scenario"] or options["against"]):
        raise click.UsageError("Name what to do: --check, --scenario or --against.")
    if options["update"] and not is_file:
        raise click.UsageError("--update needs a session file.")
    server = None if is_file and not options["url"] else target(options)
    content = exported(server, source, SESSION) if not is_file and server is not None else file.read_bytes()
    wanted = Wanted(
        scenario=options["scenario"],
        against=options["against"],
        repeat=options["repeat"],
        unrecorded=options["unrecorded"],
        live=options["live"],
        simulator=options["simulator"],
        judge=options["judge"],
        update=file if options["update"] else None,
        as_json=options["as_json"],
    )
    sys.exit(replay_again(content, wanted, LiveModels(server, loaded(options).settings)))
