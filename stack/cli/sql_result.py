"""Results of SQL on a terminal: as a table, or in the form in which the server sends them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click
import msgspec

from stack.cli.terminal import write_out

if TYPE_CHECKING:
    from rich.table import Table

    from stack.cli.sql_source import Source

TABLE = "table"
WIDE = 10_000
"""No table is wider, in characters."""
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


def print_schema(source: Source) -> None:
    from stack.services.sql.prompt import prompt

    write_out(prompt(source.schema()).encode())


def given(text: str) -> tuple[str, Any]:
    """Returns name and value of a parameter. Raises BadParameter."""
    name, separator, value = text.partition("=")
    if not (name and separator):
        raise click.BadParameter(f"{text!r} is not NAME=VALUE.", param_hint="--param")
    try:
        return name, msgspec.json.decode(value)
    except msgspec.DecodeError:
        return name, value


def print_result(source: Source, request: Mapping[str, Any], form: str) -> None:
    """Prints the result. Raises the errors of `Source.answer`."""
    answered = source.answer(request)
    if form == TABLE:
        from stack.cli.terminal import console

        out = console(wide=WIDE)
        result = msgspec.json.decode(b"".join(answered.pieces))
        rows = table(result)
        out.print(rows)
        out.print(row_count(result), style="dim")
        if natural_width(rows) > out.width:
            click.echo("Not everything fits the width: choose a --format, or columns.", err=True)
    else:
        for piece in answered.pieces:
            write_out(piece)
    warn_if_cut(answered.limit)


def asked(query: str, parameters: Mapping[str, Any], form: str, as_of: str | None = None) -> dict[str, Any]:
    """Returns the `SqlRequest` for a form of output."""
    request: dict[str, Any] = {"query": query, "format": "json" if form == TABLE else form}
    if parameters:
        request["parameters"] = parameters
    if as_of is not None:
        request["as_of"] = as_of
    return request


def warn_if_cut(limit: str) -> None:
    if limit:
        click.echo(f"The result is not complete: the setting {limit} has cut it.", err=True)


def table(result: Mapping[str, Any]) -> Table:
    """Returns the table of an `SqlResult`."""
    from rich.table import Table

    from stack.cli.plain_text import plain

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for column in result["columns"]:
        is_number = column["type"].startswith(_NUMBERS)
        table.add_column(
            plain(column["name"], _CELL_CHARACTERS), justify="right" if is_number else "left", no_wrap=True
        )
    for row in result["rows"]:
        table.add_row(*[plain(shown(value), _CELL_CHARACTERS) for value in row])
    return table


def natural_width(table: Table) -> int:
    """Returns the width at which nothing is cut, in characters."""
    import io

    from rich.console import Console

    return Console(file=io.StringIO(), width=WIDE).measure(table).maximum


def row_count(result: Mapping[str, Any]) -> str:
    count = result["row_count"]
    return f"{count:,} row{'' if count == 1 else 's'}"


def shown(value: Any) -> str:
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
