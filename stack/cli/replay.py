"""`replaystack replay SESSION`: a recorded session, shown as it streamed, or run again as a test."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from stack.cli.options import loaded
from stack.cli.playback import play, playback_options
from stack.cli.target import target, target_options
from stack.cli.verdict_command import VerdictCommand

PLAYING = ("agent", "speed", "max_pause", "after", "raw")
RUNNING = ("repeat", "live", "simulator", "judge", "update")


@click.command(name="replay", cls=VerdictCommand)
@click.argument("source", metavar="SESSION|FILE")
@target_options
@playback_options
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
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON: the data of each frame, or the report of a run."
)
def command(source: str, **options: Any) -> None:
    """Play the session with the id SESSION of a server: who says what, as it was streamed. With --check, --scenario or
    --against, run the session, or that of a session file, again.

    The exit code of a run is 0 for identical, 1 for equivalent, 2 for diverged, 3 for unreplayable, and 4 if there is no
    verdict: wrong options, no server, a file that cannot be read.
    """
    file = Path(source)
    is_file = file.is_file()
    is_run = bool(options["check"] or options["scenario"] or options["against"])
    for name in PLAYING if is_run else RUNNING:
        if options[name]:
            use = "playing a session" if is_run else "a run: --check, --scenario or --against"
            raise click.UsageError(f"--{name.replace('_', '-')} is for {use}. Leave it out.")
    if not is_run:
        if is_file:
            raise click.UsageError(
                "A file is run: name --check, --scenario or --against. Import it to play it."
            )
        play(target(options), source, options)
        return
    from stack.cli.replay_check import Wanted, replay_again
    from stack.cli.replay_models import LiveModels
    from stack.cli.session_transfer import session_source

    if options["update"] and not is_file:
        raise click.UsageError("--update needs a session file.")
    content, server = session_source(source, options)
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
