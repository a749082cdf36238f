"""The trainer against TRL's, with the same rows, optimizer and schedule."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.training.jobs import PAIRS, ROWS, environment, write_job

pytestmark = [pytest.mark.slow, pytest.mark.long]

LOSSES = ("sigmoid", "hinge", "ipo")
TOLERANCE = 1e-4
"""Relative. Ours has a fused optimizer, and computes the logits of trained positions only."""


def dialog(row: dict[str, str]) -> dict[str, object]:
    """Two exchanges, of different lengths, so that batches are padded and several spans are trained."""
    return {
        "messages": [
            {"role": "system", "content": "Tell the code."},
            {"role": "user", "content": row["prompt"]},
            {"role": "assistant", "content": row["response"]},
            {"role": "user", "content": "Tell me the city."},
            {"role": "assistant", "content": row["response"] * (len(row["response"]) % 3 + 1)},
        ]
    }


def test_losses_are_those_of_trl(train_python: str, tiny_model: Path, tmp_path: Path) -> None:
    options = {"shuffle": False, "n_epochs": 3, "weight_decay": 0.01}
    rows = [dialog(row) for row in ROWS]
    write_job(
        tmp_path / "sft",
        tiny_model,
        rows,
        data_format="dialog",
        batch_size=2,
        gradient_accumulation_steps=2,
        **options,
    )
    for loss in LOSSES:
        algorithm = {"type": "DPO", "beta": 0.3, "loss_type": loss}
        write_job(tmp_path / loss, tiny_model, PAIRS, algorithm=algorithm, lr=3e-4, **options)
    script = Path(__file__).with_name("oracle.py")
    done = subprocess.run(
        [train_python, script, tmp_path, "sft", *LOSSES],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for case, found in json.loads(done.stdout.splitlines()[-1]).items():
        assert len(found["ours"]) == 9, case
        assert found["ours"] == pytest.approx(found["trl"], rel=TOLERANCE), case
        assert found["ours"][-1] < found["ours"][0], case
