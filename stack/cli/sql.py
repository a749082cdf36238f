"""`replaystack sql`: a query over the documented views, or a prompt for many."""

from __future__ import annotations

import sys
from typing import Any

import click

from stack.cli.target import target_options

FORMATS = ("table", "json", "ndjson", "csv", "arrow", "parquet")


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
@click.option(
    "--as-of",
    metavar="POSITION|TIME",
    help="Show what was there at a position of the log, or at a time (RFC 3339).",
)
@click.option("--schema", is_flag=True, help="Describe the views instead of running a query.")
@click.option("--list", "lists", is_flag=True, help="List the named queries and their parameters.")
@click.option(
    "--named", metavar="NAME", help="Run a named query; parameters have defaults or are given by --param."
)
def command(query: str | None, form: str, parameters: tuple[str, ...], **options: Any) -> None:
    """Run an SQL query (DuckDB's dialect) over the documented views: agents, sessions, turns, spans and more.

    Without a query: on a terminal a prompt with completion and history, otherwise the query is read from the standard
    input. A result that was cut off is reported on the standard error.
    """
    from stack.cli.sql_named import named_query, print_queries
    from stack.cli.sql_result import asked, given, print_result, print_schema
    from stack.cli.sql_source import source

    schema, lists, named = options.pop("schema"), options.pop("lists"), options.pop("named")
    if sum(map(bool, (query, schema, lists, named))) > 1:
        raise click.UsageError("Give one of these: a query, --named, --list, or --schema.")
    as_of = options.pop("as_of")
    values = dict(map(given, parameters))
    if schema:
        print_schema(source(options))
    elif lists:
        print_queries()
    elif named:
        text, values = named_query(named, values)
        print_result(source(options), asked(text, values, form, as_of), form)
    elif query is None and sys.stdin.isatty() and sys.stdout.isatty():
        from stack.cli.sql_prompt import run_prompt

        if values:
            raise click.UsageError("--param is for a query.")
        run_prompt(options, form, as_of)
    else:
        text = sys.stdin.read() if query is None else query
        if not text.strip():
            raise click.UsageError("There is no query: give one, or pass it by the standard input.")
        print_result(source(options), asked(text, values, form, as_of), form)
