"""The protocol between the server and a training worker: a job description, and lines of JSON.

How a worker is started
    `PYTHON -P .../stack/providers/training/boot.py MODULE JOB_FILE DESCRIPTOR SERVER`, where PYTHON is the
    setting `train_python`. `boot` makes the packages `stack` and `schemas` importable, and nothing else of
    the server's environment, ties the process to the server (process id SERVER) by PR_SET_PDEATHSIG, sends
    standard output to standard error, and calls `main(job, report)` of MODULE, with a `Job` that was read from JOB_FILE
    and a `Report` that writes to DESCRIPTOR. The worker has a session of its own, standard input is closed, and its
    environment holds `PATH`, `HOME`, `LANG`, `TMPDIR`, `LD_LIBRARY_PATH` and the variables of CUDA, OpenMP and the
    Hugging Face hub only.

What it writes
    One JSON object per line, at most `MAX_LINE_BYTES`, each one of `Message`; NaN and infinity are not JSON.

        ready      once, first: before slow imports
        alive      at least every `Job.alive_s` seconds, from a thread, at any time (`Report` does this)
        prepared   once: model and rows are loaded
        step       each update of the weights; `step` continues from `Job.steps_done` by 1, without gaps
        epoch      after the last step of an epoch, validation included
        checkpoint after `epoch`: the checkpoint and the state for continuing are durable
        completed, failed or cancelled: once, last; then the process exits

    Any other order, an unknown type or field, or a line that is too long, ends the worker and fails the job,
    as does an exit without a last message or a silence longer than the setting `train_silence_s`. Standard
    error is kept (its end) as the reason for a failure and is never parsed.

How it ends
    SIGTERM asks it to stop: it finishes the current step, writes `cancelled` and exits. After the setting
    `train_cancel_grace_s` it is killed, with its session. Any end after the request, with any last message
    or none, is a cancellation. At a shutdown of the server it is killed at once, and the job continues later
    from its last checkpoint.

What it must leave on the disk
    The checkpoint of epoch N is the folder `checkpoint_path(job.output, N)`: a folder that `from_pretrained`
    loads, safetensors only. It appears by a rename of a finished and synced folder, so that a checkpoint with
    its name is always whole; a folder of that name that exists already is replaced.
    `state_path(job.state, N)` is the worker's own folder with what it needs to continue after epoch N (weights,
    optimizer, scheduler, random state), written in the same way after the checkpoint and before the line
    `checkpoint`. States before that of epoch N - 1 are removed then, and not earlier: the server may not
    have recorded epoch N yet. A worker that is started with `epochs_done` N > 0 continues from the state of
    epoch N exactly as if it had never ended: the same losses follow. The server removes the folder `Job.work`,
    which contains `state` and the rows, after the end of the job.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from schemas.events.payload import TrainingAlgorithm, TrainingConfig

PROTOCOL = 1
MAX_LINE_BYTES = 64 * 1024
PACKAGES = ("msgspec", "torch", "transformers", "peft", "torchao")
"""The distributions that the worker imports."""


class Job(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The description of a job.

    `base` is a folder with `config.json`, a tokenizer and `*.safetensors`, or an adapter's folder, which
    names its base model; or with `on_hub` the name of a model of the Hugging Face hub. `rows` and
    `validation_rows` (empty if there are none) are files with one JSON object per line, in UTF-8: the rows of
    the dataset as they are, in the forms of `row_form`. `seed` is the start of all random numbers; epoch N is
    shuffled by `seed + N`.
    `epochs_done` and `steps_done` are 0, or those of the last checkpoint that the server has recorded.
    """

    protocol: int = PROTOCOL
    job_uuid: str
    base: str
    on_hub: bool = False
    rows: str
    validation_rows: str = ""
    config: TrainingConfig
    algorithm: TrainingAlgorithm
    output: str
    work: str
    state: str
    seed: int
    epochs_done: int = 0
    steps_done: int = 0
    alive_s: float = 5.0


class _Message(Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True):
    pass


class Ready(_Message, frozen=True, kw_only=True, tag="ready"):
    """The process runs and has read the description."""

    protocol: int = PROTOCOL
    pid: int


class Alive(_Message, frozen=True, kw_only=True, tag="alive"):
    """`doing` is what takes long, such as `loading the model`, for people."""

    doing: str = ""


class Prepared(_Message, frozen=True, kw_only=True, tag="prepared"):
    """`samples` are sequences after packing. `total_steps` is the expected number over all epochs. `resources` is
    shown as `resources_allocated`: such as `{"device": "cpu", "threads": 2, "torch": "2.13.0"}`."""

    samples: int
    total_steps: int
    trainable_parameters: int
    total_parameters: int
    resources: dict[str, Any]


class Step(_Message, frozen=True, kw_only=True, tag="step"):
    """`tokens` counts the positions that were trained, without padding. `ms` is its duration in
    milliseconds."""

    step: int
    epoch: int
    loss: float
    learning_rate: float
    tokens: int
    ms: float


class Epoch(_Message, frozen=True, kw_only=True, tag="epoch"):
    """`train_loss` is the mean over the epoch's steps. `validation_loss` and `perplexity` are absent without
    validation rows; `metrics` holds further values by name."""

    epoch: int
    last_step: int
    train_loss: float
    validation_loss: float | None = None
    perplexity: float | None = None
    metrics: dict[str, float] = {}


class Checkpoint(_Message, frozen=True, kw_only=True, tag="checkpoint"):
    """`kind` is full, adapter or quantized; `bytes` is the size of the folder."""

    epoch: int
    step: int
    path: str
    kind: str
    bytes: int


class Completed(_Message, frozen=True, kw_only=True, tag="completed"):
    """All epochs are done, and the last one's checkpoint is durable."""


class Failed(_Message, frozen=True, kw_only=True, tag="failed"):
    """`detail` says what is wrong and what to do about it, such as which row is longer than the context. `is_input`
    means that the request or its data are the reason (400) and not the machine or the worker (500). `step` is
    where it happened, such as that with the first loss that is not a number; 0 outside of a step."""

    detail: str
    is_input: bool = False
    step: int = 0


class Cancelled(_Message, frozen=True, kw_only=True, tag="cancelled"):
    """It ended after `step` because it was asked to."""

    step: int


Message = Ready | Alive | Prepared | Step | Epoch | Checkpoint | Completed | Failed | Cancelled
End = Completed | Failed | Cancelled


def checkpoint_path(output: str, epoch: int) -> str:
    """Returns the folder of an epoch's checkpoint."""
    return f"{output}/epoch-{epoch}"


def state_path(state: str, epoch: int) -> str:
    """Returns the folder of what is needed to continue after an epoch."""
    return f"{state}/epoch-{epoch}"
