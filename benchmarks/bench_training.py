"""Fine-tuning by the trainer and by TRL's, with the same model, rows, optimizer and batches: tokens per second.

The trainer's time is that of its steps, without saving its checkpoint; TRL's is that of `train()`, which saves none.
Needs an interpreter with torch and TRL, named by REPLAYSTACK_TRAIN_PYTHON (see CONTRIBUTING.md).
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds

ROWS = 96
BAR = 0.95
_HERE = Path(__file__).parent


def run(quick: bool) -> list[Result]:
    """Rounds of both take turns in one process, so that they see the same machine. Raises RuntimeError without the
    interpreter."""
    python = os.environ.get("REPLAYSTACK_TRAIN_PYTHON", "")
    if not python:
        raise RuntimeError("REPLAYSTACK_TRAIN_PYTHON names no interpreter with torch and TRL")
    rounds = 3 if quick else 9
    with tempfile.TemporaryDirectory() as folder:
        made = subprocess.run(
            [python, _HERE / "training_rounds.py", folder, str(rounds), str(ROWS)],
            capture_output=True,
            text=True,
            check=False,
        )
    if made.returncode:
        raise RuntimeError(made.stderr[-2000:])
    found = json.loads(made.stdout.splitlines()[-1])
    ratios = [ours / theirs for ours, theirs in zip(found["ours"], found["trl"], strict=True)]
    return [
        of_rounds("fine-tuning against TRL's, tokens per second", ratios, "x", BAR, "higher"),
        of_rounds("fine-tuning of 2.6 M parameters", found["ours"], "tokens/s", better="higher"),
        of_rounds("TRL's SFTTrainer, the same", found["trl"], "tokens/s", better="higher"),
    ]


if __name__ == "__main__":
    standalone(run, "training", __doc__)
