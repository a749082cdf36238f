"""`replaystack verify`: checks the integrity of the log, and reports the positions of the read models."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from stack.cli.options import loaded, settings_options
from stack.cli.terminal import one_line

if TYPE_CHECKING:
    from stack.eventstore.reports import VerifyReport
    from stack.log_loss import Loss


@click.command(name="verify")
@settings_options("data")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool, **options: Any) -> None:
    """Read both logs, of events and of telemetry, and check order, hash chain, content and blobs; report the
    positions of the read models.

    Works while a server runs. The exit code is 1 if there is a problem.
    """
    from stack.cli.running import server_state
    from stack.cli.telemetry_log import REMEDY as TELEMETRY_REMEDY
    from stack.cli.telemetry_log import telemetry_log
    from stack.event_log import log_place
    from stack.log_loss import REMEDY, LogIncomplete

    data = loaded(options).settings.data
    loss = _loss(data)
    if loss is not None and loss.head is None:
        raise LogIncomplete(f"{loss.detail} {REMEDY}")
    report = log_place(data).verify()
    view, problems = _view(data, report.epoch, report.head)
    if loss is not None:
        problems.append(loss.detail)
    telemetry = telemetry_log(data, server_state(data))
    of_events = [*report.problems, *problems]
    of_telemetry = telemetry.problems if telemetry else []
    problems = [*of_events, *of_telemetry]
    accepted = [
        *report.accepted,
        *(f"telemetry: {loss}" for loss in (telemetry.accepted if telemetry else ())),
    ]
    if as_json:
        found = {"view": view, "telemetry": msgspec.to_builtins(telemetry)}
        output = msgspec.to_builtins(report) | found
        output |= {"ok": not problems, "problems": problems, "accepted": accepted}
        click.echo(msgspec.json.format(msgspec.json.encode(output)))
    else:
        click.echo(f"log    {data}: {report.events} events in {report.streams} streams, head {report.head}")
        click.echo(f"       {report.redacted} redacted, {report.unknown} of a newer version")
        click.echo(f"chain  {_chain(report)}")
        click.echo(f"blobs  {report.blobs} with {report.blob_bytes} bytes")
        click.echo(f"view   {_view_text(view, loss)}")
        if telemetry is not None:
            click.echo(f"otlp   {telemetry.summary}")
        for lost in accepted:
            click.echo(f"lost   {one_line(lost)}")
        for problem in problems:
            click.echo(f"WRONG  {one_line(problem)}")
        unlisted = report.problem_count - len(report.problems)
        if unlisted > 0:
            click.echo(f"WRONG  and {unlisted} more")
        if of_events:
            click.echo(REMEDY if loss is not None else "Restore a backup, or ask for help.")
        if of_telemetry:
            click.echo(TELEMETRY_REMEDY)
        if not problems:
            click.echo(f"Nothing is missing or changed{', except for accepted losses' if accepted else ''}.")
    sys.exit(1 if problems else 0)


def _chain(report: VerifyReport) -> str:
    """Describes the state of the hash chain."""
    if not report.chained:
        return "none yet; the next start adds it"
    text = f"covers {report.chained} of {report.events} events"
    for added in report.chained_later:
        which = f"events {added.first} to {added.last} were recorded without it"
        text += f"; {which}, so changes of them before {added.at} cannot be found"
    if report.chained < report.events:
        text += "; the next start adds the rest"
    return text


def _loss(data: Path) -> Loss | None:
    """Returns the loss of the log of a folder without a server; None also if other damage prevents detecting
    it."""
    from projections.warehouse.errors import ProjectionError
    from stack.cli.running import server_state
    from stack.errors import ReplaystackError
    from stack.log_loss import find_loss

    if server_state(data) is not None:
        return None  # it would not have started
    try:
        return find_loss(data)
    except (ReplaystackError, ProjectionError):
        return None


def _view(data: Path, epoch: str, head: int) -> tuple[dict[str, Any] | None, list[str]]:
    """Returns the position of the read models, from the server that has them open or from their file."""
    from projections.warehouse.errors import ProjectionError
    from stack.cli.running import server_state
    from stack.log_loss import view_position

    state = server_state(data)
    if state is not None:
        view = state["view"]
        position = {"position": view["position"], "of_this_log": view["epoch"] == epoch, "served": True}
        failed = [f"the view could not apply event {event['position']}" for event in view["failed_events"]]
        return position, failed
    try:
        found = view_position(data)
    except ProjectionError as error:
        return None, [f"the read models cannot be opened: {error}. `replaystack rebuild` rebuilds them"]
    if found is None:
        return None, []
    own = found.epoch == epoch and found.position <= head
    return {"position": found.position, "of_this_log": own, "served": False}, []


def _view_text(view: dict[str, Any] | None, loss: Loss | None) -> str:
    if loss is not None and loss.views is not None:
        return f"at position {loss.views}, after the end of the log"
    if view is None:
        return "none yet; the next start builds it from the log"
    if not view["of_this_log"]:
        return "built from another copy of the log; the next start rebuilds it"
    return f"at position {view['position']}" + (", served" if view["served"] else "")
