"""The worker process as the server starts it: it continues, stops, and says why it fails."""

from __future__ import annotations

import json
import resource
import signal
from pathlib import Path

import pytest

from tests.training.jobs import ROWS, losses, start, write_job

pytestmark = [pytest.mark.slow, pytest.mark.long]


def test_a_killed_job_continues_with_the_losses_of_an_uninterrupted_one(
    train_python: str, tiny_model: Path, tmp_path: Path
) -> None:
    options = {"n_epochs": 12, "gradient_accumulation_steps": 2, "batch_size": 2, "validation": ROWS[:3]}
    write_job(tmp_path / "whole", tiny_model, ROWS, **options)
    with start(train_python, tmp_path / "whole") as worker:
        whole = worker.end()
    assert [message["type"] for message in whole[:2]] == ["ready", "prepared"]
    assert whole[-1] == {"type": "completed"}

    job = write_job(tmp_path / "cut", tiny_model, ROWS, **options)
    with start(train_python, tmp_path / "cut") as worker:
        before = worker.until("step", 3) + worker.end(signal.SIGKILL)
    assert before[-1]["type"] != "completed"
    last = [message for message in before if message["type"] == "checkpoint"][-1]
    done = {"epochs_done": last["epoch"], "steps_done": last["step"]}
    (tmp_path / "cut/job.json").write_text(json.dumps(job | done))
    with start(train_python, tmp_path / "cut") as worker:
        after = worker.end()

    assert losses(before)[: last["step"]] + losses(after) == losses(whole)
    kept = [path.name for path in sorted((tmp_path / "cut/work/state").iterdir())]
    assert kept == ["epoch-11", "epoch-12"]
    for epoch in range(1, 13):
        weights = [
            tmp_path / name / f"checkpoints/epoch-{epoch}/model.safetensors" for name in ("whole", "cut")
        ]
        assert weights[0].read_bytes() == weights[1].read_bytes()


def test_a_job_stops_after_its_step(train_python: str, tiny_model: Path, tmp_path: Path) -> None:
    write_job(tmp_path / "job", tiny_model, ROWS, n_epochs=1_000_000)
    with start(train_python, tmp_path / "job") as worker:
        found = worker.until("step", 2) + worker.end(signal.SIGTERM)
    assert worker.process.returncode == 0
    assert found[-1] == {"type": "cancelled", "step": len(losses(found))}


def test_a_checkpoint_without_space_fails_the_job(
    train_python: str, tiny_model: Path, tmp_path: Path
) -> None:
    write_job(tmp_path / "job", tiny_model, ROWS)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    with start(train_python, tmp_path / "job", preexec_fn=limit) as worker:
        found = worker.end()
    assert found[-1]["type"] == "failed", found[-1]
    assert "could not be written: File too large; make space" in found[-1]["detail"]
    assert list((tmp_path / "job/checkpoints").iterdir()) == []
