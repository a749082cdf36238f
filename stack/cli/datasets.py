"""`replaystack datasets`: list, show, import and export datasets of a running server."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click

from schemas.api.dataset import Purpose
from stack.cli.target import target, target_options

PURPOSES = get_args(Purpose)
FORMATS = ("jsonl", "json", "csv")


@click.group(name="datasets")
def command() -> None:
    """List, show, import and export datasets."""


@command.command(name="list")
@target_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_(as_json: bool, **options: Any) -> None:
    """List the datasets with their rows and versions."""
    from stack.cli import dataset_tables

    dataset_tables.show_list(target(options), as_json)


@command.command()
@click.argument("dataset_id")
@target_options
@click.option("--rows", default=5, show_default=True, help="How many of the first rows to print.")
def show(dataset_id: str, rows: int, **options: Any) -> None:
    """Show one dataset: its description, its versions and its first rows."""
    from stack.cli import dataset_tables

    dataset_tables.show_one(target(options), dataset_id, rows)


@command.command(name="import")
@click.argument("source")
@target_options
@click.option("--id", "dataset_id", help="The dataset's id; by default the name of the file.")
@click.option(
    "--purpose",
    type=click.Choice(PURPOSES),
    default="eval/question-answer",
    show_default=True,
    help="What it is for.",
)
@click.option("--append", "appends", is_flag=True, help="Add the rows to a dataset that is there.")
def import_(source: str, dataset_id: str | None, purpose: Purpose, appends: bool, **options: Any) -> None:
    """Create a dataset from SOURCE: a file (CSV, JSON, JSONL, Parquet) that is read here, or a URI that the
    server reads.

    A large file is sent in parts: the first one registers the dataset, each further one adds a version to it.
    """
    from stack.cli import dataset_transfer

    dataset_transfer.import_rows(target(options), source, dataset_id, purpose, appends)


@command.command()
@click.argument("dataset_id")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), default="-")
@target_options
@click.option(
    "--format", "form", type=click.Choice(FORMATS), help="By default the ending of FILE, else jsonl."
)
@click.option("--version", type=int, help="An earlier version.")
def export(dataset_id: str, file: Path, form: str | None, version: int | None, **options: Any) -> None:
    """Write the rows of a dataset to FILE, or to the standard output."""
    from stack.cli import dataset_transfer

    ending = file.suffix.removeprefix(".").lower()
    dataset_transfer.export_rows(
        target(options), dataset_id, file, form or (ending if ending in FORMATS else "jsonl"), version
    )
