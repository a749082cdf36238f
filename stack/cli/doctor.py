"""`replaystack doctor`: what is wrong, and what to do about it."""

from __future__ import annotations

import sys
from typing import Any

import click
import msgspec

from stack.cli.options import loaded, settings_options
from stack.cli.terminal import one_line


@click.command(name="doctor")
@settings_options("data", "host", "port")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool, **options: Any) -> None:
    """Check the data folder, the log, the read models, the port, the model providers and the libraries.

    Asks the running server where there is one, else looks for itself. The exit code is 1 when there is a
    problem; a warning is none.
    """
    from stack.cli.checks import examine

    checks = examine(loaded(options).settings)
    healthy = all(check.state != "problem" for check in checks)
    if as_json:
        told = {"healthy": healthy, "checks": checks}
        click.echo(msgspec.json.format(msgspec.json.encode(told)))
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            click.echo(f"{check.state:7}  {check.name:{width}}  {one_line(check.detail)}")
            if check.remedy:
                click.echo(f"{'':7}  {'':{width}}  -> {one_line(check.remedy)}")
        click.echo("All is well." if healthy else "There are problems; see the remedies above.")
    sys.exit(0 if healthy else 1)
