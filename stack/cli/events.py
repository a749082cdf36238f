"""`replaystack events`: the events of the log, one line each."""

from __future__ import annotations

from typing import Any

import click

from stack.cli.target import target_options


@click.command(name="events")
@target_options
@click.option(
    "--follow", is_flag=True, help="Continue with what is recorded, also after a restart of the server."
)
@click.option(
    "--after", metavar="POSITION|end", default="0", show_default=True, help="Only events after this position."
)
@click.option(
    "--stream", metavar="NAME", help="Only those of a stream, such as session/ID, or of a category: turn."
)
@click.option(
    "--name",
    "names",
    multiple=True,
    help="Only those of this name, such as turn.completed or turn.*; repeatable.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object per line, with the whole content."
)
def command(**options: Any) -> None:
    """Print the events of the log in order: position, time, name, stream, and the beginning of the content."""
    from stack.cli.event_lines import print_events

    try:
        print_events(options)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
