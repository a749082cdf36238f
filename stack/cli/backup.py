"""`replaystack backup`: a copy of the log from which a server can be started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from stack.cli.options import loaded, settings_options


@click.command(name="backup")
@click.argument("target", type=click.Path(path_type=Path, file_okay=False))
@settings_options("data")
def command(target: Path, **options: Any) -> None:
    """Copy the logs and blobs to the new folder TARGET, with or without a running server.

    The read models and the tables of telemetry are not copied: a server that is started on TARGET builds them from
    the logs.
    """
    from stack.event_log import log_place

    data = loaded(options).settings.data
    manifest = log_place(data).backup(target)
    size = sum(file.bytes for file in manifest.files)
    click.echo(
        f"Backed up {data} to {target}: {manifest.head} events, {len(manifest.files)} files, {size} bytes."
    )
    click.echo(f"Check it with: replaystack verify --data {target}")
