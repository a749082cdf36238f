"""Datasets as tables on a terminal."""

from __future__ import annotations

import json
from urllib.parse import quote

import click
import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from stack.cli.connection import Connection
from stack.cli.plain_text import plain
from stack.cli.terminal import console

DATASETS = "/v1beta/datasets"
ROWS = "/v1beta/datasetio/iterrows"
VERSIONS_SHOWN = 10


def show_list(server: Connection, as_json: bool) -> None:
    listed = server.ask("GET", DATASETS)["data"]
    datasets = [one | _counts(server, one["identifier"]) for one in listed]
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode({"data": datasets})))
        return
    if not datasets:
        click.echo("There are no datasets. `replaystack datasets import FILE` creates one.")
        return
    table = _table("id", "purpose", "rows", "version", "source")
    table.columns[0].overflow = "fold"
    for one in datasets:
        source = one["source"]
        table.add_row(
            plain(one["identifier"]),
            plain(one["purpose"]),
            f"{one['row_count']:,}",
            str(one["version"]),
            plain(source["uri"], 60) if source["type"] == "uri" else "rows",
        )
    console().print(table)


def show_one(server: Connection, dataset_id: str, rows: int) -> None:
    path = quote(dataset_id, safe="/")
    shown = server.ask("GET", f"{DATASETS}/{path}")
    counts = _counts(server, dataset_id)
    out = console()
    out.print(plain(dataset_id), style="bold")
    source = shown["source"]
    out.print("  purpose   ", plain(shown["purpose"]), sep="")
    out.print("  rows      ", f"{counts['row_count']:,}", sep="")
    out.print("  source    ", plain(source["uri"]) if source["type"] == "uri" else "rows", sep="")
    if shown["metadata"]:
        out.print("  metadata  ", plain(json.dumps(shown["metadata"], ensure_ascii=False), 400), sep="")
    _show_versions(server, path, out)
    if rows > 0:
        first = msgspec.json.decode(server.fetch(f"{ROWS}/{path}?limit={rows}")[1])["data"]
        for number, row in enumerate(first):
            out.print(plain(f"{number:>6}  {json.dumps(row, ensure_ascii=False)}", out.width))


def _show_versions(server: Connection, path: str, out: Console) -> None:
    versions = server.ask("GET", f"{DATASETS}/{path}/versions")["data"]
    table = _table("version", "at", "change", "rows added", "rows", "by")
    for one in versions[-VERSIONS_SHOWN:]:
        table.add_row(
            str(one["version"]),
            one["created_at"][:19].replace("T", " "),
            plain(one["change"].replace("_", " ")),
            f"{one['rows_added']:,}",
            f"{one['row_count']:,}",
            plain(one.get("actor", "")),
        )
    out.print(table)
    if len(versions) > VERSIONS_SHOWN:
        out.print(f"  and {len(versions) - VERSIONS_SHOWN} earlier versions")


def _counts(server: Connection, dataset_id: str) -> dict[str, int]:
    headers, _ = server.fetch(f"{ROWS}/{quote(dataset_id, safe='/')}?limit=0")
    return {"row_count": int(headers["x-dataset-rows"]), "version": int(headers["x-dataset-version"])}


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        numeric = column in ("rows", "version", "rows added")
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    return table
