"""Imports and exports datasets: files are read here and sent in parts, rows are fetched in pages."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import click
import msgspec
from msgspec import Raw
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from stack.cli.connection import Connection
from stack.cli.dataset_tables import DATASETS, ROWS
from stack.cli.terminal import console, one_line
from stack.cli.whole_file import whole_file
from stack.errors import Invalid
from stack.providers.rows.local import local_rows
from stack.providers.rows.port import RowBlock

APPEND = "/v1beta/datasetio/append-rows"
PART_BYTES = 8 * 2**20
PAGE_ROWS = 2_000

_row = msgspec.json.Decoder(dict[str, Raw])


class _Page(msgspec.Struct):
    data: list[Raw]
    has_more: bool


def import_rows(server: Connection, source: str, dataset_id: str | None, purpose: str, appends: bool) -> None:
    """Imports a file or URI. Raises Invalid, and the errors of the server."""
    if "://" in source or source.startswith("data:"):
        if appends:
            raise Invalid("--append takes a file; the server reads a URI only where it begins a dataset.")
        _register(server, {"type": "uri", "uri": source}, dataset_id, purpose)
        return
    path = Path(source)
    name = dataset_id or path.stem
    if appends and dataset_id is None:
        raise Invalid("--append needs --id: the dataset that the rows are added to.")
    asyncio.run(_send(server, path, name, purpose, appends))


async def _send(server: Connection, path: Path, dataset_id: str, purpose: str, appends: bool) -> None:
    sent = 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("rows"))
    with Progress(*columns, console=console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"{path.name}", total=None)
        async with aclosing(local_rows(path)) as blocks:
            async for rows, count in _parts(blocks):
                if appends or sent:
                    server.ask("POST", f"{APPEND}/{quote(dataset_id, safe='/')}", {"rows": rows})
                else:
                    _post(server, {"type": "rows", "rows": rows}, dataset_id, purpose)
                sent += count
                progress.update(task, completed=sent)
    if not sent and not appends:
        _post(server, {"type": "rows", "rows": []}, dataset_id, purpose)
    click.echo(f"{'Added' if appends else 'Imported'} {_counted(sent)}: dataset {one_line(dataset_id)}")


async def _parts(blocks: AsyncIterator[RowBlock]) -> AsyncIterator[tuple[Raw, int]]:
    """Yields JSON arrays of rows of some MiB, and the number of rows in each."""
    lines: list[bytes] = []
    size = count = 0
    async for block in blocks:
        if lines and size + len(block.lines) > PART_BYTES:
            yield _array(lines), count
            lines, size, count = [], 0, 0
        lines.append(block.lines)
        size += len(block.lines)
        count += block.count
    if lines:
        yield _array(lines), count


def _array(lines: list[bytes]) -> Raw:
    return Raw(b"[%b]" % b"\n".join(lines).replace(b"\n", b","))


def _register(server: Connection, source: dict[str, Any], dataset_id: str | None, purpose: str) -> None:
    name = _post(server, source, dataset_id, purpose)
    headers, _ = server.fetch(f"{ROWS}/{quote(name, safe='/')}?limit=0")
    click.echo(f"Imported {_counted(int(headers['x-dataset-rows']))}: dataset {one_line(name)}")


def _post(server: Connection, source: dict[str, Any], dataset_id: str | None, purpose: str) -> str:
    body = {"purpose": purpose, "source": source} | ({"dataset_id": dataset_id} if dataset_id else {})
    return str(server.ask("POST", DATASETS, body)["identifier"])


def export_rows(server: Connection, dataset_id: str, file: Path, form: str, version: int | None) -> None:
    """Writes the rows in pages. A CSV has the columns of the first row; raises Invalid for a row with other
    columns."""
    pages = _pages(server, dataset_id, version)
    with whole_file(file) as out:
        write = {"jsonl": _write_lines, "json": _write_array, "csv": _write_csv}[form]
        count = write(pages, out)
    if str(file) != "-":
        click.echo(f"Exported {_counted(count)} to {file}")


def _pages(server: Connection, dataset_id: str, version: int | None) -> Iterator[list[Raw]]:
    """Yields all rows of one version, whatever is appended in the meantime."""
    path = f"{ROWS}/{quote(dataset_id, safe='/')}"
    start = 0
    while True:
        at = f"&version={version}" if version is not None else ""
        headers, body = server.fetch(f"{path}?start_index={start}&limit={PAGE_ROWS}{at}")
        version = int(headers["x-dataset-version"])
        page = msgspec.json.decode(body, type=_Page)
        yield page.data
        start += len(page.data)
        if not page.has_more:
            return


def _write_lines(pages: Iterator[list[Raw]], out: IO[bytes]) -> int:
    count = 0
    for page in pages:
        out.writelines(bytes(row) + b"\n" for row in page)
        count += len(page)
    return count


def _write_array(pages: Iterator[list[Raw]], out: IO[bytes]) -> int:
    count = 0
    out.write(b"[")
    for page in pages:
        for row in page:
            out.write((b",\n" if count else b"\n") + bytes(row))
            count += 1
    out.write(b"\n]\n")
    return count


def _write_csv(pages: Iterator[list[Raw]], out: IO[bytes]) -> int:
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    columns: list[str] = []
    count = 0
    for page in pages:
        for raw in page:
            row = _row.decode(raw)
            if not columns:
                columns = list(row)
                writer.writerow(columns)
            if unknown := row.keys() - set(columns):
                raise Invalid(
                    f"Row {count} has the field {min(unknown)!r}, which the first row has not. Export as jsonl."
                )
            writer.writerow([_cell(row.get(column)) for column in columns])
            count += 1
    text.detach()
    return count


def _counted(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"


def _cell(value: Raw | None) -> str:
    """Returns a text unchanged, null as an empty text, and other values as JSON."""
    text = b"null" if value is None else bytes(value)
    if text == b"null":
        return ""
    return str(msgspec.json.decode(text)) if text.startswith(b'"') else text.decode()
