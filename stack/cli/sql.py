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
@click.option("--list", "lists", is_flag=True, help="List the named queries and their parameters.")
@click.option(
    "--named", metavar="NAME", help="Run a named query; parameters have defaults or are given by --param."
)
def command(query: str | None, form: str, parameters: tuple[str, ...], **options: Any) -> None:
    """Run an SQL query (DuckDB's dialect) over the documented views: agents, sessions, turns, spans and more.

    A result that was cut off is reported on the standard error.
    """
    from stack.cli.sql_result import print_named, print_queries, print_result, print_schema

    schema, lists, named = options.pop("schema"), options.pop("lists"), options.pop("named")
    if sum(map(bool, (query, schema, lists, named))) != 1:
        raise click.UsageError("Give one of these: a query, --named, --list, or --schema.")
    if schema:
        print_schema(options)
    elif lists:
        print_queries()
    elif named:
        print_named(options, named, form, parameters)
    else:
        print_result(options, query or "", form, parameters)
