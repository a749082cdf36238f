"""`replaystack traces`: the newest traces of a running server, all or those that match."""

from __future__ import annotations

from typing import Any

import click

from stack.cli.target import target, target_options

LIMIT = 20


@click.command(name="traces")
@target_options
@click.option(
    "--where",
    "conditions",
    multiple=True,
    metavar="KEY=VALUE",
    help="Only traces with such a span; also != > <. KEY is an attribute, resource.NAME, span.name, span.kind, "
    "span.status, span.duration_ms, span.start_time, trace_id or span_id. A number is a number, null is a missing key, "
    'and "5" in quotes is a text. Several have to match, each one some span of the trace.',
)
@click.option("--errors", is_flag=True, help="Only traces in which a span failed.")
@click.option("--limit", default=LIMIT, show_default=True, type=click.IntRange(min=0), help="How many.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(conditions: tuple[str, ...], errors: bool, limit: int, as_json: bool, **options: Any) -> None:
    """List the newest traces: when, how long, how many spans, errors and tokens.

    `replaystack trace ID` shows one of them.
    """
    import msgspec

    from stack.cli.trace_filter import filters_of

    body = {"attribute_filters": filters_of(conditions, errors), "limit": limit}
    path = "/v1alpha/telemetry/traces?details=true"
    found = target(options).ask("POST", path, body)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found)))
        return
    if not found["data"]:
        click.echo("No trace matches." if conditions or errors else "There are no traces yet.")
        return
    from stack.cli.trace_table import show_traces
    from stack.cli.trace_tree import console

    show_traces(console(), found["data"])
