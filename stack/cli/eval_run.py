"""Schedules a job, follows it with a progress bar, and shows its results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from stack.cli.connection import Connection
from stack.cli.eval_job import JobName, path_of
from stack.cli.eval_tables import show_outcome
from stack.cli.job_following import follow_job
from stack.cli.terminal import console

CANDIDATE = ("model", "agent", "system", "temperature", "max_tokens", "judge", "examples")
"""The options that determine what is evaluated and how."""


def scheduled(
    connection: Connection,
    benchmark: str,
    *,
    model: str | None,
    agent: Path | None,
    system: str,
    temperature: float | None,
    max_tokens: int | None,
    judge: str,
    examples: int | None,
) -> JobName:
    """Schedules a new job. Raises UsageError, AnswerError."""
    if (model is None) == (agent is None):
        raise click.UsageError("Say what to evaluate: --model MODEL, or --agent FILE.")
    config: dict[str, Any] = {"scoring_params": _judged(connection, benchmark, judge)}
    if examples is not None:
        config["num_examples"] = examples
    if agent is not None:
        try:
            config["eval_candidate"] = {"type": "agent", "config": msgspec.json.decode(agent.read_bytes())}
        except msgspec.DecodeError as error:
            raise click.UsageError(f"{agent} is not JSON: {error}.") from None
    else:
        config["eval_candidate"] = _model(str(model), system, temperature, max_tokens)
    answer = connection.ask(
        "POST", f"{path_of(benchmark)}/jobs", {"benchmark_config": config}, {"prefer": "wait=0"}
    )
    return JobName(benchmark, answer["job_id"])


def _model(model: str, system: str, temperature: float | None, max_tokens: int | None) -> dict[str, Any]:
    params: dict[str, Any] = {"strategy": {"type": "greedy"}}
    if temperature:
        params["strategy"] = {"type": "top_p", "temperature": temperature}
    if max_tokens is not None:
        params["max_tokens"] = max_tokens
    candidate: dict[str, Any] = {"type": "model", "model": model, "sampling_params": params}
    if system:
        candidate["system_message"] = {"role": "system", "content": system}
    return candidate


def _judged(connection: Connection, benchmark: str, judge: str) -> dict[str, Any]:
    """Returns the parameters of the functions that use a judge."""
    if not judge:
        return {}
    functions = connection.ask("GET", path_of(benchmark))["scoring_functions"]
    own: dict[str, Any] = {"type": "llm_as_judge", "judge_score_regexes": [], "aggregation_functions": []}
    return {name: own | {"judge_model": judge} for name in functions if name.startswith("llm-as-judge::")}


def follow(connect: Callable[[], Connection], job: JobName, as_json: bool) -> bool:
    """Follows a job to its end and shows its results. Returns whether it completed. If the server goes away,
    waits for its restart, after which its jobs continue."""
    out = console(stderr=True)
    progress = _progress(out)
    try:
        with progress:
            shown = progress.add_task(job.name, total=None, failed="")
            follow_job(connect, lambda connection: _followed(connection, job, progress, shown))
    except KeyboardInterrupt:
        out.print(
            f"The job continues. See it with: replaystack eval show {job.name}\n"
            f"End it with: replaystack eval cancel {job.name}"
        )
        return False
    connection = connect()
    outcome = connection.ask("GET", f"{job.path}/outcome")
    result = connection.ask("GET", f"{job.path}/result")
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode({"job": job.name, **outcome, "result": result})))
    else:
        show_outcome(job.name, outcome, result)
    return bool(outcome["status"] == "completed")


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]}", style="red"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def _followed(connection: Connection, job: JobName, progress: Progress, shown: Any) -> bool:
    """Reads the job's stream from its beginning. Returns whether it reached the job's end."""
    done = failed = 0
    for frame in connection.stream("GET", f"{job.path}/events"):
        event = frame.data["event"]
        match event["event_type"]:
            case "scheduled":
                progress.update(shown, total=event["num_rows"])
            case "row_evaluated":
                done += 1
                failed += "error" in event
                progress.update(shown, completed=done, failed=f"{failed} failed" if failed else "")
            case "completed" | "failed" | "cancelled":
                return True
    return False
