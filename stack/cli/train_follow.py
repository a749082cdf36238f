"""Follows a training job with a progress bar and a curve of its losses, and shows how it ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import click
import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from stack.cli.connection import Connection
from stack.cli.job_following import follow_job
from stack.cli.loss_curve import curve
from stack.cli.terminal import console
from stack.cli.train_request import ROOT

LISTED = 100
CURVE_LINES = 8
MAX_COLUMNS = 100


class _Shown:
    """The progress of a job, from its frames. A repeated step replaces the earlier one."""

    def __init__(self, job_uuid: str, out: Console) -> None:
        self._out = out
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[said]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=out,
        )
        self._task = self._progress.add_task(job_uuid, total=None, said="scheduled")
        self._epochs = 0
        self.losses: dict[int, float] = {}
        self.epochs: dict[int, dict[str, Any]] = {}

    def take(self, event: dict[str, Any]) -> bool:
        """Returns whether the job has ended."""
        match event["event_type"]:
            case "scheduled":
                self._epochs = event["epochs"]
            case "started":
                self._said("starting")
            case "prepared":
                self._progress.update(
                    self._task, total=event["total_steps"], completed=event["steps_done"], said=""
                )
            case "steps_done":
                first = event["first_step"]
                self.losses |= {first + number: loss for number, loss in enumerate(event["losses"])}
                done = first + len(event["losses"]) - 1
                self._progress.update(self._task, completed=done)
                self._said(f"epoch {event['epoch']}/{self._epochs} loss {event['losses'][-1]:.4f}")
            case "epoch_done":
                self.epochs[event["epoch"]] = event
                validated = event.get("validation_loss")
                more = "" if validated is None else f" validation {validated:.4f}"
                self._said(f"epoch {event['epoch']}/{self._epochs} mean loss {event['train_loss']:.4f}{more}")
            case "completed" | "failed" | "cancelled":
                return True
        return False

    def _said(self, text: str) -> None:
        self._progress.update(self._task, said=text)

    def __rich__(self) -> Group:
        return Group(self._progress, self.curve())

    def curve(self) -> Text:
        width = min(self._out.width, MAX_COLUMNS)
        losses = [self.losses[step] for step in sorted(self.losses)]
        return Text("\n".join(curve(losses, width, CURVE_LINES)))


def follow(connect: Callable[[], Connection], job_uuid: str, as_json: bool) -> bool:
    """Follows a job to its end and shows it. Returns whether it completed. If the server goes away, waits for its
    restart, after which its jobs continue."""
    out = console(stderr=True)
    shown = _Shown(job_uuid, out)
    try:
        with Live(shown, console=out, refresh_per_second=8, transient=True):
            follow_job(connect, lambda connection: _followed(connection, job_uuid, shown))
    except KeyboardInterrupt:
        out.print(
            f"The job continues. See it with: replaystack train show {job_uuid}\n"
            f"End it with: replaystack train cancel {job_uuid}"
        )
        return False
    connection, path = connect(), _path_of(job_uuid)
    outcome = connection.ask("GET", f"{path}/outcome")
    checkpoints = connection.ask("GET", f"{path}/artifacts")["checkpoints"]
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode({**outcome, "checkpoints": checkpoints})))
    else:
        _show(shown, outcome, checkpoints)
    return bool(outcome["status"] == "completed")


def _path_of(job_uuid: str) -> str:
    return f"{ROOT}/jobs/{quote(job_uuid, safe='')}"


def _followed(connection: Connection, job_uuid: str, shown: _Shown) -> bool:
    """Returns whether the stream reached the job's end."""
    frames = connection.stream("GET", f"{_path_of(job_uuid)}/events")
    return any(shown.take(frame.data["event"]) for frame in frames)


def _show(shown: _Shown, outcome: dict[str, Any], checkpoints: list[dict[str, Any]]) -> None:
    out = console(wide=MAX_COLUMNS)
    total = f" of {outcome['total_steps']}" if "total_steps" in outcome else ""
    out.print(Text(f"{outcome['job_uuid']}: {outcome['status']}, step {outcome['step']}{total}"))
    out.print(shown.curve())
    if error := outcome.get("error"):
        out.print(Text(error["detail"], style="red"))
    table = Table("checkpoint", "epoch", "train loss", "validation", "perplexity")
    for one in checkpoints:
        measured = shown.epochs.get(one["epoch"], {})
        values = [f"{measured[name]:.4f}" if name in measured else "" for name in _MEASURED]
        table.add_row(Text(one["identifier"], overflow="fold"), str(one["epoch"]), *values)
    if checkpoints:
        out.print(table)
        out.print(Text(f"in {outcome['checkpoint_dir']}", overflow="fold"))


_MEASURED = ("train_loss", "validation_loss", "perplexity")


def show_list(connection: Connection) -> None:
    """Shows the newest jobs, the last one first."""
    out = console(wide=MAX_COLUMNS)
    table = Table("job", "status", "algorithm", "model", "dataset", "epochs", "loss")
    for one in reversed(connection.ask("GET", f"{ROOT}/jobs")["data"][-LISTED:]):
        found = connection.ask("GET", f"{_path_of(one['job_uuid'])}/outcome")
        loss = found.get("train_loss")
        table.add_row(
            Text(found["job_uuid"]),
            found["status"],
            found["algorithm"],
            Text(found["model"]),
            Text(f"{found['dataset_id']}@{found['dataset_version']}"),
            f"{found['epochs_done']}/{found['epochs']}",
            "" if loss is None else f"{loss:.4f}",
        )
    out.print(table)
