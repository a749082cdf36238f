"""Command-line options generated from the settings, so that each is described only once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from stack.config import SETTINGS, Loaded, Setting, load

F = TypeVar("F", bound=Callable[..., Any])


def settings_options(*names: str) -> Callable[[F], F]:
    """Adds `--config` and the options of the named settings (without names: of all that have one)."""
    chosen = [SETTINGS[name] for name in names] or [one for one in SETTINGS.values() if one.flag]

    def added(command: F) -> F:
        for setting in reversed(chosen):
            command = _option(setting)(command)
        config = click.option(
            "--config",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Settings file.  [variable: REPLAYSTACK_CONFIG; default: ./replaystack.toml if it is there]",
        )
        return config(command)

    return added


def loaded(options: dict[str, Any]) -> Loaded:
    """Returns the settings for the options of a command with `settings_options`. Raises ConfigError."""
    flags = {name: value for name, value in options.items() if name in SETTINGS}
    return load(flags, config=options.get("config"))


def _option(setting: Setting) -> Callable[[F], F]:
    help_text = f"{setting.description}  [variable: {setting.variables[-1]}{_default(setting)}]"
    if setting.type is bool:
        switch = f"{setting.option}/--no-{setting.option.removeprefix('--')}"
        return click.option(switch, setting.name, default=None, help=help_text)
    metavar = "|".join(setting.choices) or ("A,B,..." if setting.is_list else _kind(setting.type))
    return click.option(setting.option, setting.name, metavar=metavar, help=help_text)


def _default(setting: Setting) -> str:
    if setting.default in ("", []):
        return ""
    default = str(setting.default).lower() if setting.type is bool else setting.default
    return f"; default: {default}"


def _kind(type: Any) -> str:
    return {int: "N", float: "X", Path: "FOLDER"}.get(type, "TEXT")
