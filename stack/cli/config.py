"""`replaystack config`: the effective settings."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from stack.cli.options import loaded, settings_options
from stack.config import SETTINGS, shown


@click.group(name="config")
def command() -> None:
    """Show the settings and where each value comes from."""


@command.command()
@settings_options()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(as_json: bool, **options: Any) -> None:
    """Print each setting, its value, and its origin: an option, a variable, the file or the default.

    Secrets are masked.
    """
    result = loaded(options)
    values = {
        name: shown(getattr(result.settings, name), setting.secret) for name, setting in SETTINGS.items()
    }
    if as_json:
        described = {
            name: {"value": value, "origin": result.origins[name], "description": SETTINGS[name].description}
            for name, value in values.items()
        }
        click.echo(msgspec.json.format(msgspec.json.encode(described)))
        return
    width = max(map(len, values))
    origin_width = max(len(result.origins[name]) for name in values)
    for name, value in values.items():
        text = value if isinstance(value, str) and value else msgspec.json.encode(value).decode()
        click.echo(f"{name:{width}}  {result.origins[name]:{origin_width}}  {text}")
