"""A fake at the edge: a "Python interpreter" whose training worker trains nothing and speaks the protocol.

It is called as the server calls an interpreter: `-P .../probe.py PACKAGE...`, or `-P .../boot.py MODULE JOB DESCRIPTOR
SERVER`. Its behaviour is the file `script.json` in the folder of the base model:

    step_ms, load_ms   how long a step and the start take
    at_step            {step: action}; actions are the functions named `_do_*` below
    ignore_term        SIGTERM has no effect
    stderr             what it writes to standard error at its start

Losses depend on the seed and the step only. It appends a line to `journal` of that folder at each start.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import signal
import stat
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any

PACKAGES = {
    "msgspec": "0.22.0",
    "torch": "0.0.0+fake",
    "transformers": "0",
    "peft": "0",
    "torchao": "0",
    "safetensors": "0",
}


def interpreter(file: Path, *, accelerators: str = "", missing: str = "") -> Path:
    """Writes an executable file that is this fake interpreter. Returns it."""
    more = f"--accelerators={accelerators} --missing={missing}"
    file.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).resolve()} {more} "$@"\n')
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


def base_model(folder: Path, **script: Any) -> Path:
    """Makes the folder of a base model: real files, with a layer of 64 inputs, and what the worker does."""
    folder.mkdir(parents=True)
    sizes = {"hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128}
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", **sizes}))
    shape, size = [4, 64], 4 * 64 * 4
    name = "model.layers.0.self_attn.q_proj.weight"
    header = json.dumps({name: {"dtype": "F32", "shape": shape, "data_offsets": [0, size]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(size))
    (folder / "script.json").write_text(json.dumps(script))
    return folder


def loss_of(seed: int, step: int) -> float:
    return 2.0 / (1 + 0.1 * step) + (seed * step % 7) / 100


class Trainer:
    def __init__(self, job: dict[str, Any], descriptor: int) -> None:
        self.job = job
        self.descriptor = descriptor
        self.script = json.loads((Path(job["base"]) / "script.json").read_text())
        self.stopping = threading.Event()
        self.one_writer = threading.Lock()
        rows = len(Path(job["rows"]).read_text().splitlines())
        config = job["config"]
        batch = config["data"]["batch_size"] * config["gradient_accumulation_steps"]
        self.steps = min(config["max_steps_per_epoch"], math.ceil(rows / batch))
        self.epochs = config["n_epochs"]

    def say(self, type: str, **fields: Any) -> None:
        self.raw(json.dumps({"type": type, **fields}).encode() + b"\n")

    def raw(self, line: bytes) -> None:
        with self.one_writer:
            left = memoryview(line)
            while left:
                left = left[os.write(self.descriptor, left) :]

    def run(self) -> None:
        job = self.job
        signal.signal(signal.SIGTERM, self._term)
        with (Path(job["base"]) / "journal").open("a") as journal:
            journal.write(json.dumps({"pid": os.getpid(), "epochs_done": job["epochs_done"]}) + "\n")
        if said := self.script.get("stderr"):
            sys.stderr.write(said)
            sys.stderr.flush()
        self.say("ready", protocol=1, pid=os.getpid())
        threading.Thread(target=self._live, daemon=True).start()
        time.sleep(self.script.get("load_ms", 0) / 1000)
        if job["epochs_done"]:
            saved = json.loads(
                (Path(job["state"]) / f"epoch-{job['epochs_done']}" / "state.json").read_text()
            )
            assert saved["step"] == job["steps_done"]
        self.say(
            "prepared",
            samples=4,
            total_steps=self.steps * self.epochs,
            trainable_parameters=10,
            total_parameters=100,
            resources={"device": "fake", "threads": 1},
        )
        step = job["steps_done"]
        for epoch in range(job["epochs_done"] + 1, self.epochs + 1):
            losses: list[float] = []
            for _ in range(self.steps):
                step += 1
                losses.append(loss_of(job["seed"], step))
                self._step(epoch, step, losses[-1])
            self._save(epoch, step, losses)
        self.say("completed")

    def _step(self, epoch: int, step: int, loss: float) -> None:
        time.sleep(self.script.get("step_ms", 0) / 1000)
        action = self.script.get("at_step", {}).get(str(step), "")
        if action:
            getattr(self, f"_do_{action}")(epoch, step)
        self.say("step", step=step, epoch=epoch, loss=loss, learning_rate=0.01, tokens=32, ms=1.5)
        if self.stopping.is_set():
            self.say("cancelled", step=step)
            sys.exit(0)

    def _save(self, epoch: int, step: int, losses: list[float]) -> None:
        validated = {}
        if self.job["validation_rows"]:
            validated = {"validation_loss": losses[-1], "perplexity": math.exp(losses[-1])}
        self.say("epoch", epoch=epoch, last_step=step, train_loss=sum(losses) / len(losses), **validated)
        path = Path(self.job["output"]) / f"epoch-{epoch}"
        path.mkdir(parents=True, exist_ok=True)
        for name in ("config.json", "model.safetensors", "script.json"):
            (path / name).write_bytes((Path(self.job["base"]) / name).read_bytes())
        state = Path(self.job["state"]) / f"epoch-{epoch}"
        state.mkdir(exist_ok=True)
        (state / "state.json").write_text(json.dumps({"step": step}))
        self.say("checkpoint", epoch=epoch, step=step, path=str(path), kind="full", bytes=1200)

    def _term(self, *_: Any) -> None:
        if not self.script.get("ignore_term"):
            self.stopping.set()

    def _live(self) -> None:
        while True:
            time.sleep(self.job["alive_s"])
            self.say("alive")

    def _do_exit(self, epoch: int, step: int) -> None:
        sys.stderr.write("Traceback: out of ideas\n")
        sys.stderr.flush()
        os._exit(3)

    def _do_kill(self, epoch: int, step: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def _do_stop(self, epoch: int, step: int) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    def _do_garbage(self, epoch: int, step: int) -> None:
        self.raw(b'{"type": "step", "loss": NaN}\n')

    def _do_huge(self, epoch: int, step: int) -> None:
        self.raw(b"x" * 200_000 + b"\n")

    def _do_skip(self, epoch: int, step: int) -> None:
        self.say("step", step=step + 5, epoch=epoch, loss=1.0, learning_rate=0.01, tokens=32, ms=1.5)

    def _do_early(self, epoch: int, step: int) -> None:
        self.say("completed")

    def _do_fail(self, epoch: int, step: int) -> None:
        self.say("failed", detail="The loss is not a number.", is_input=False, step=step)
        sys.exit(1)

    def _do_hang(self, epoch: int, step: int) -> None:
        time.sleep(3600)

    def _do_close(self, epoch: int, step: int) -> None:
        os.close(self.descriptor)
        time.sleep(3600)


def main() -> None:
    options = dict(one[2:].split("=", 1) for one in sys.argv[1:3])
    arguments = sys.argv[4:]
    if arguments[0].endswith("probe.py"):
        missing = [name for name in options["missing"].split(",") if name]
        found = {
            "python": "3.11.0",
            "packages": {name: PACKAGES[name] for name in arguments[1:] if name not in missing},
            "missing": missing,
            "accelerators": [name for name in options["accelerators"].split(",") if name],
        }
        sys.stdout.write(json.dumps(found) + "\n")
        return
    _, _, job_file, descriptor, server = arguments
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != int(server):
        os._exit(1)
    Trainer(json.loads(Path(job_file).read_text()), int(descriptor)).run()


if __name__ == "__main__":
    main()
