"""`replaystack trace ID`: shows one trace as a tree."""

from __future__ import annotations

from typing import Any

import click

from stack.cli.target import target, target_options


@click.command(name="trace")
@click.argument("trace_id", metavar="ID")
@target_options
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one JSON object: the spans and log records, with all that is known.",
)
def command(trace_id: str, as_json: bool, **options: Any) -> None:
    """Show the trace ID as a tree: its spans with their times, tokens, models, errors and log records.

    The beginning of an id is sufficient if only one trace matches it.
    """
    import msgspec

    from stack.cli.trace_finding import trace_of, whole_id

    server = target(options)
    found = whole_id(server, trace_id)
    trace = trace_of(server, found)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode({"data": trace.spans, "logs": trace.logs})))
        return
    from stack.cli.trace_tree import console, show_trace

    show_trace(console(), found, trace)
