"""`replaystack doctor`: problems, and their remedies."""

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

    Asks the running server if there is one, otherwise checks the files itself. The exit code is 1 if there is
    a problem; warnings do not count.
    """
    from stack.cli.checks import examine

    checks = examine(loaded(options).settings)
    healthy = all(check.state != "problem" for check in checks)
    if as_json:
        report = {"healthy": healthy, "checks": checks}
        click.echo(msgspec.json.format(msgspec.json.encode(report)))
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            click.echo(f"{check.state:7}  {check.name:{width}}  {one_line(check.detail)}")
            if check.remedy:
                click.echo(f"{'':7}  {'':{width}}  -> {one_line(check.remedy)}")
        click.echo("All is well." if healthy else "There are problems; see the remedies above.")
    sys.exit(0 if healthy else 1)
