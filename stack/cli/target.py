"""The server that a command uses: that of a data folder on this machine, or any other by its address."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from stack.cli.options import loaded, settings_options

F = TypeVar("F", bound=Callable[..., Any])


def target_options(command: F) -> F:
    """Adds `--data`, `--config`, `--url` and `--key-file`."""
    for option in (
        click.option(
            "--key-file",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            help="File with the key to send; a key on a command line shows in every process listing.",
        ),
        click.option("--url", help="The server, such as http://127.0.0.1:8321, instead of that of --data."),
        settings_options("data"),
    ):
        command = option(command)
    return command


def target(options: dict[str, Any], timeout_s: float = 60.0) -> Any:
    """Returns a `Connection` to the server, from the options of a command with `target_options`. Raises
    NotFound if no server uses the data folder, ConfigError."""
    from stack.cli.connection import Connection
    from stack.data_folder import is_held, running_server
    from stack.errors import NotFound, Unavailable

    key_file: Path | None = options.get("key_file")
    key = key_file.read_text().strip() if key_file else ""
    if options.get("url"):
        return Connection(str(options["url"]), key, timeout_s)
    data = loaded(options).settings.data
    server = running_server(data)
    if server is None and is_held(data):
        raise Unavailable(f"The server of {data} is starting or ending. Try again in a moment.")
    if server is None:
        raise NotFound(
            f"No server runs on {data}. Start one with `replaystack serve`, or name one with --url or --data."
        )
    return Connection(server.url, key or server.token, timeout_s)
