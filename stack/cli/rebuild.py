"""`replaystack rebuild`: rebuilds the read models from the log."""

from __future__ import annotations

import time
from typing import Any

import click

from stack.cli.options import loaded, settings_options


@click.command(name="rebuild")
@settings_options("data")
def command(**options: Any) -> None:
    """Rebuild the read models from the log.

    A running server builds them next to the current ones, and replaces those at the end. Without a server
    this command builds them itself. The log is not changed.
    """
    from stack.cli import running
    from stack.cli.offline import opened

    data = loaded(options).settings.data
    began = time.monotonic()
    state = running.rebuild(data)
    if state is not None:
        position, head = state["view"]["position"], state["view"]["head"]
    else:
        with opened(data) as offline:
            offline.engine.rebuild()
            offline.engine.rebuilt_blocking(running.REBUILD_TIMEOUT_S)
            position, head = offline.engine.position(), offline.store.head()
    where = "by the running server" if state is not None else "here"
    took_s = time.monotonic() - began
    click.echo(f"Rebuilt {where} in {took_s:.1f} s: the read models hold {position} of {head} events.")
