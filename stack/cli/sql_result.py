"""Results of SQL on a terminal: as a table, or in the form in which the server sends them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click
import msgspec

from stack.cli.target import target
from stack.cli.terminal import write_out

TIMEOUT_S = 3600.0
"""The server's own limit applies first."""
_CELL_CHARACTERS = 80
_NUMBERS = (
    "BIGINT",
    "BIGNUM",
    "DECIMAL",
    "DOUBLE",
    "FLOAT",
    "HUGEINT",
    "INTEGER",
    "SMALLINT",
    "TINYINT",
    "UBIGINT",
    "UHUGEINT",
    "UINTEGER",
)


def print_schema(options: Mapping[str, Any]) -> None:
    _, text = target(dict(options)).fetch("/v1alpha/sql/schema?format=prompt")
    write_out(text)


def print_queries() -> None:
    """Prints the named queries with their parameters."""
    from projections.user_views.queries import user_queries

    for query in user_queries().values():
        click.echo(f"{query.name}\n  {query.description}")
        for one in query.parameters:
            default = "required" if one.default is None else f"default {one.default}"
            unit = f", {one.unit}" if one.unit else ""
            click.echo(f"  --param {one.name}={one.type} ({default}{unit}): {one.description}")


def print_named(options: Mapping[str, Any], name: str, form: str, parameters: Sequence[str]) -> None:
    """Prints the result of a named query. Raises NotFound for an unknown name, Invalid for its parameters, and the
    errors of `print_result`."""
    from projections.user_views.queries import user_queries
    from stack.domain.near import nearest
    from stack.errors import Invalid, NotFound

    query = user_queries().get(name)
    if query is None:
        near = nearest(name, user_queries())
        hint = f" Did you mean {near!r}?" if near else ""
        raise NotFound(f"There is no query {name!r}.{hint} List them with --list.")
    given = dict(map(_parameter, parameters))
    known = {one.name: one.default for one in query.parameters}
    if unknown := sorted(given.keys() - known.keys()):
        raise Invalid(
            f"The query {name!r} has no parameter {unknown[0]!r}; it has: {', '.join(known) or 'none'}."
        )
    values = {**known, **given}
    if missing := [one for one, value in values.items() if value is None]:
        raise Invalid(f"The query {name!r} needs --param {missing[0]}=VALUE.")
    _print(options, query.sql, form, values)


def print_result(options: Mapping[str, Any], query: str, form: str, parameters: Sequence[str]) -> None:
    """Prints the result. Raises AnswerError, NotFound if no server runs, OSError."""
    _print(options, query, form, dict(map(_parameter, parameters)))


def _print(options: Mapping[str, Any], query: str, form: str, parameters: Mapping[str, Any]) -> None:
    body: dict[str, Any] = {"query": query, "format": "json" if form == "table" else form}
    if parameters:
        body["parameters"] = parameters
    server = target(dict(options), TIMEOUT_S)
    headers, pieces = server.answer("POST", "/v1alpha/sql", body)
    if form == "table":
        _print_table(msgspec.json.decode(b"".join(pieces)))
    else:
        for piece in pieces:
            write_out(piece)
    if limit := headers.get("x-truncated"):
        click.echo(f"The result is not complete: the server's setting {limit} has cut it.", err=True)


def _parameter(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not (name and separator):
        raise click.BadParameter(f"{text!r} is not NAME=VALUE.", param_hint="--param")
    try:
        return name, msgspec.json.decode(value)
    except msgspec.DecodeError:
        return name, value


def _print_table(result: Mapping[str, Any]) -> None:
    from rich.table import Table

    from stack.cli.plain_text import plain
    from stack.cli.terminal import console

    out = console(wide=10_000)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for column in result["columns"]:
        is_number = column["type"].startswith(_NUMBERS)
        table.add_column(
            plain(column["name"], _CELL_CHARACTERS), justify="right" if is_number else "left", no_wrap=True
        )
    for row in result["rows"]:
        table.add_row(*[plain(_shown(value), _CELL_CHARACTERS) for value in row])
    out.print(table)
    count = result["row_count"]
    out.print(f"{count:,} row{'' if count == 1 else 's'}", style="dim")


def _shown(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
    return msgspec.json.encode(value).decode()
