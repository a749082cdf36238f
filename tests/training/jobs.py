"""Jobs for the training worker, and the worker as the server starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BOOT = ROOT / "stack/providers/training/boot.py"
MODULE = "stack.providers.training.trainer.main"
NAMES = ("Paris", "Rome", "Oslo", "Lima", "Cairo", "Quito", "Delhi", "Tokyo", "Bern", "Riga", "Kyiv", "Doha")
ROWS = [
    {"prompt": f"Code of {name}?", "response": f"{number * 7 % 10} {NAMES[-number]}."}
    for number, name in enumerate(NAMES)
]
MOVED = [
    {"prompt": row["prompt"], "response": f"{number * 3 % 10} {NAMES[(number * 5 + 3) % 12]}."}
    for number, row in enumerate(ROWS)
]
"""The same questions with other answers."""
PAIRS = [
    {"prompt": row["prompt"], "chosen": row["response"], "rejected": "I do not know the code."}
    for row in ROWS
]
LORA = {
    "type": "LoRA", "lora_attn_modules": ["q_proj", "v_proj", "output_proj"], "apply_lora_to_mlp": True,
    "apply_lora_to_output": False, "rank": 4, "alpha": 8,
}  # fmt: skip


def environment() -> dict[str, str]:
    """Returns the variables that the server passes on; one thread, so that sums have one order."""
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/tmp"), "OMP_NUM_THREADS": "1"}


def write_rows(path: Path, rows: list[Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def write_job(folder: Path, base: Path | str, rows: list[Any], **changes: Any) -> dict[str, Any]:
    """Writes `job.json` and its rows into a new folder. `changes` are fields of the job, its configuration or
    parts of that, and `validation`: rows."""
    work = folder / "work"
    work.mkdir(parents=True)
    held_out = changes.pop("validation", [])
    data = {"dataset_id": "rows", "batch_size": 4, "shuffle": True, "data_format": "instruct"}
    optimizer = {"optimizer_type": "adamw", "lr": 3e-3, "weight_decay": 0.0, "num_warmup_steps": 2}
    config: dict[str, Any] = {
        "n_epochs": 2, "max_steps_per_epoch": 1000, "gradient_accumulation_steps": 1, "max_validation_steps": 100,
        "dtype": "fp32",
    }  # fmt: skip
    job: dict[str, Any] = {
        "job_uuid": folder.name,
        "base": str(base),
        "algorithm": {"type": "full"},
        "seed": 5,
    }
    for name, value in changes.items():
        place = next((part for part in (data, optimizer, config) if name in part), None)
        if name in ("packed", "train_on_input"):
            place = data
        elif name.startswith("activation_"):
            place = config
        (job if place is None else place)[name] = value
    job |= {
        "rows": write_rows(work / "rows.jsonl", rows),
        "validation_rows": write_rows(work / "validation.jsonl", held_out) if held_out else "",
        "config": {**config, "data": data, "optimizer": optimizer},
        "output": str(folder / "checkpoints"),
        "work": str(work),
        "state": str(work / "state"),
    }
    (folder / "job.json").write_text(json.dumps(job))
    return job


class Worker:
    """A running worker process."""

    def __init__(self, process: subprocess.Popen[bytes], lines: Iterator[str], stderr: Path) -> None:
        self.process = process
        self._lines = lines
        self._stderr = stderr

    def messages(self) -> Iterator[dict[str, Any]]:
        """Yields messages until the end, without signs of life."""
        for line in self._lines:
            message = json.loads(line)
            if message["type"] != "alive":
                yield message

    def until(self, kind: str, epoch: int) -> list[dict[str, Any]]:
        """Returns the messages up to the first of this type and epoch."""
        found = []
        for message in self.messages():
            found.append(message)
            if message["type"] == kind and message["epoch"] == epoch:
                return found
        raise AssertionError(f"{found[-1:]}\n{self._stderr.read_text()[-3000:]}")

    def end(self, by: signal.Signals | None = None) -> list[dict[str, Any]]:
        """Returns the remaining messages and waits for the exit."""
        if by is not None:
            os.kill(self.process.pid, by)
        found = list(self.messages())
        self.process.wait(120)
        return found


@contextmanager
def start(python: str, folder: Path, **options: Any) -> Iterator[Worker]:
    """Starts the worker for the job in a folder, as the server does. `options` are those of Popen."""
    readable, writable = os.pipe()
    stderr = folder / "stderr.txt"
    command = [python, "-P", str(BOOT), MODULE, str(folder / "job.json"), str(writable), str(os.getpid())]
    with stderr.open("ab") as errors, os.fdopen(readable, encoding="utf-8") as lines:
        process = subprocess.Popen(
            command, pass_fds=[writable], stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
            env=environment(), start_new_session=True, **options,
        )  # fmt: skip
        os.close(writable)
        try:
            yield Worker(process, iter(lines), stderr)
        finally:
            process.kill()
            process.wait()


def losses(messages: list[dict[str, Any]]) -> list[float]:
    return [message["loss"] for message in messages if message["type"] == "step"]
