"""`replaystack sql`: a query over the documented views of a running server."""

from __future__ import annotations

from typing import Any

import click

from stack.cli.target import target_options

FORMATS = ("table", "json", "ndjson", "csv", "arrow")


@click.command(name="sql")
@target_options
@click.argument("query", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="Form of the output.",
)
@click.option(
    "--param",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="Value of $NAME, as JSON or else as text; repeatable.",
)
@click.option("--schema", is_flag=True, help="Describe the views instead of running a query.")
def command(query: str | None, form: str, parameters: tuple[str, ...], schema: bool, **options: Any) -> None:
    """Run an SQL query (DuckDB's dialect) over the documented views: agents, sessions, turns, spans and more.

    A result that was cut off is reported on the standard error.
    """
    from stack.cli.sql_result import print_result, print_schema

    if schema == (query is not None):
        raise click.UsageError("Give a query, or --schema for a description of the views.")
    if query is None:
        print_schema(options)
    else:
        print_result(options, query, form, parameters)
