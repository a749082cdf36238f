"""`replaystack erasure ID`: the receipt of a deletion."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from stack.cli.target import target, target_options


@click.command(name="erasure")
@click.argument("erased_id", metavar="ID")
@target_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(erased_id: str, as_json: bool, **options: Any) -> None:
    """Show what was erased after the deletion of the agent, session, dataset or benchmark ID, and what
    remains.

    Content is erased from all files of the data folder within about a minute; the exit code is 0 in the
    meantime too.
    """
    import msgspec

    from stack.cli.terminal import one_line

    receipt = target(options).ask("GET", f"/v1alpha/erasures/{quote(erased_id, safe='/')}")
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(receipt)))
        return
    click.echo(f"{one_line(' and '.join(receipt['kinds']))} {one_line(receipt['id'])}")
    click.echo(f"  requested  {receipt['requested_at']}")
    done = receipt.get("completed_at", "content may still be in files of the data folder")
    click.echo(f"  {one_line(receipt['state']).replace('_', ' '):9}  {done}")
    names = ("events", "sessions", "turns", "jobs", "blobs", "spans")
    counts = [f"{name} {receipt['erased'].get(name, 'unknown')}" for name in names]
    click.echo(f"  erased     {', '.join(counts)}")
    if "waits_for" in receipt:
        click.echo(f"  waits for  {one_line(receipt['waits_for'])}")
    for name in receipt["removed"]:
        click.echo(f"  removed    {one_line(name)}")
    for left in receipt["remains"]:
        until = f", until {left['until']}" if "until" in left else ""
        click.echo(f"  remains    {one_line(left['what'])}: {one_line(left['where'])}{until}")
