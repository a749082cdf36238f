"""`replaystack eval`: run a benchmark on a running server, show its jobs, compare two of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from stack.cli.target import target, target_options
from stack.cli.verdict_command import VerdictCommand


class _Eval(click.Group):
    """Treats an unknown command as a benchmark to run: `replaystack eval BENCHMARK --model ...`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["run", *args]
        return super().resolve_command(ctx, args)


@click.group(name="eval", cls=_Eval)
def command() -> None:
    """Run a benchmark, show its jobs, compare two of them.

    `replaystack eval BENCHMARK --model MODEL` is short for `replaystack eval run BENCHMARK --model MODEL`.
    """


@command.command()
@click.argument("benchmark")
@target_options
@click.option("--model", help="The model to evaluate, <provider>/<model>.")
@click.option(
    "--agent",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="An agent to evaluate instead: a JSON file with its configuration.",
)
@click.option("--system", default="", help="System message for the model before each row.")
@click.option("--temperature", type=float, help="0, the default, always takes the most probable token.")
@click.option("--max-tokens", type=int, help="Tokens of an answer; no limit by default.")
@click.option("--judge", default="", help="The model that judges, for functions that ask one.")
@click.option("--examples", type=int, help="Evaluate only so many rows.")
@click.option(
    "--detach", is_flag=True, help="Schedule the job and print its name, without waiting for its end."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def run(benchmark: str, detach: bool, as_json: bool, **options: Any) -> None:
    """Evaluate a model or an agent on BENCHMARK.

    The job runs in the server: it continues if this command is stopped. The exit code is 1 unless the job
    completes.
    """
    from stack.cli import eval_run

    said = {name: options.pop(name) for name in eval_run.CANDIDATE}
    job = eval_run.scheduled(target(options), benchmark, **said)
    if detach:
        click.echo(job.name)
        return
    sys.exit(0 if eval_run.follow(lambda: target(options), job, as_json) else 1)


@command.command()
@click.argument("job")
@target_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(job: str, as_json: bool, **options: Any) -> None:
    """Follow JOB (<benchmark>/<number>) to its end and show its results."""
    from stack.cli import eval_run
    from stack.cli.eval_job import JobName

    found = JobName.parse(job)
    sys.exit(0 if eval_run.follow(lambda: target(options), found, as_json) else 1)


@command.command()
@click.argument("job")
@target_options
def cancel(job: str, **options: Any) -> None:
    """Cancel JOB (<benchmark>/<number>). The rows that are done are kept."""
    from stack.cli.eval_job import JobName

    target(options).ask("DELETE", JobName.parse(job).path)


@command.command(name="list")
@click.argument("benchmark", required=False)
@target_options
def list_(benchmark: str | None, **options: Any) -> None:
    """List the benchmarks, or the jobs of BENCHMARK."""
    from stack.cli import eval_tables

    eval_tables.show_list(target(options), benchmark)


@command.command(cls=VerdictCommand)
@click.argument("a")
@click.argument("b")
@target_options
@click.option("--benchmark", help="The benchmark of both, where A and B are the numbers of jobs alone.")
@click.option("--rows", default=10, show_default=True, help="How many rows to show of each function.")
@click.option(
    "--fail-if-worse",
    is_flag=True,
    help="Exit with 1 when a mean score of B is below that of A; 4 is an error.",
)
@click.option(
    "--tolerance", default=0.0, show_default=True, help="With --fail-if-worse: how far below it may be."
)
@click.option(
    "--certain",
    is_flag=True,
    help="With --fail-if-worse: only when the whole interval of the difference is below that.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def compare(
    a: str,
    b: str,
    benchmark: str | None,
    rows: int,
    fail_if_worse: bool,
    tolerance: float,
    certain: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Compare job B with job A, each <benchmark>/<number>: what is better, worse or changed, and how certain
    that is."""
    from stack.cli import eval_compare

    found = eval_compare.compared(target(options), a, b, benchmark, rows)
    worse = eval_compare.worse(found, tolerance, certain)
    eval_compare.show(found, worse if fail_if_worse else [], as_json)
    sys.exit(1 if fail_if_worse and worse else 0)
