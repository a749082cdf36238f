"""`replaystack train`: train a model on a running server, follow its jobs, cancel and list them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from stack.cli.target import target, target_options


class _Train(click.Group):
    """Treats an unknown command, or options, as a job to run: `replaystack train --model ...`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(name="train", cls=_Train)
def command() -> None:
    """Train a model, follow training jobs, cancel and list them.

    `replaystack train FILE` and `replaystack train --model MODEL --dataset DATASET` are short for `replaystack train run
    ...`.
    """


@command.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@target_options
@click.option("--job", "job_uuid", help="The job's id; by default a new one.")
@click.option("--model", help="The base model: a folder below train_roots, or the checkpoint of a job.")
@click.option("--dataset", help="The dataset to train on.")
@click.option("--validation", help="A dataset on which the loss is measured after each epoch.")
@click.option(
    "--method",
    type=click.Choice(["full", "lora", "qat", "dpo"]),
    help="What is trained: all weights, adapters (the default), all weights for a later quantisation, or a preference "
    "for chosen answers.",
)
@click.option(
    "--format", "data_format", type=click.Choice(["instruct", "dialog"]), help="The form of the rows."
)
@click.option("--epochs", type=int, help="Epochs; 1 by default.")
@click.option("--steps", type=int, help="Steps of an epoch at most; all rows by default.")
@click.option("--batch-size", type=int, help="Samples of a batch; 4 by default.")
@click.option("--lr", type=float, help="Learning rate; 2e-4 for adapters, 2e-5 otherwise, 1e-6 for dpo.")
@click.option("--rank", type=int, help="Rank of the adapters; 8 by default.")
@click.option("--dtype", type=click.Choice(["bf16", "fp32"]), help="Type of the weights; bf16 by default.")
@click.option(
    "--checkpoint-dir", help="An empty or new folder below train_roots; the server's own by default."
)
@click.option(
    "--detach", is_flag=True, help="Schedule the job and print its id, without waiting for its end."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def run(file: Path | None, detach: bool, as_json: bool, **options: Any) -> None:
    """Train a model: with the request in FILE (TOML or JSON, as in the API), with options, or both, where options count.

    The job runs in the server: it continues if this command is stopped. The exit code is 1 unless the job
    completes.
    """
    from stack.cli import train_follow, train_request

    path, body = train_request.request(file, options)
    job_uuid = target(options).ask("POST", path, body)["job_uuid"]
    if detach:
        click.echo(job_uuid)
        return
    sys.exit(0 if train_follow.follow(lambda: target(options), job_uuid, as_json) else 1)


@command.command()
@click.argument("job")
@target_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(job: str, as_json: bool, **options: Any) -> None:
    """Follow JOB to its end and show its losses and checkpoints."""
    from stack.cli import train_follow

    sys.exit(0 if train_follow.follow(lambda: target(options), job, as_json) else 1)


@command.command()
@click.argument("job")
@target_options
def cancel(job: str, **options: Any) -> None:
    """Cancel JOB at its next step. Checkpoints of whole epochs are kept."""
    from stack.cli import train_request

    target(options).ask("POST", f"{train_request.ROOT}/job/cancel", {"job_uuid": job})


@command.command(name="list")
@target_options
def list_(**options: Any) -> None:
    """List the training jobs, newest first."""
    from stack.cli import train_follow

    train_follow.show_list(target(options))
