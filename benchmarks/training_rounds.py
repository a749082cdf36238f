"""Rounds of fine-tuning, by the trainer and by TRL's in turn: `PYTHON training_rounds.py FOLDER ROUNDS ROWS`.

Runs in the interpreter that has torch and TRL, and prints the tokens per second of each round as JSON.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

TESTS = Path(__file__).parents[1] / "tests/training"
BATCH = 8
WORDS = [
    "the",
    "capital",
    "of",
    "France",
    "is",
    "Paris",
    "and",
    "the",
    "code",
    "of",
    "room",
    "seven",
    "is",
    "four",
    "two",
    "nine",
    "one",
]


def rows(count: int) -> list[dict[str, Any]]:
    """Rows of different lengths, half of whose tokens are trained."""
    return [
        {
            "messages": [
                {"role": "user", "content": " ".join(WORDS[: 4 + number % 12])},
                {"role": "assistant", "content": " ".join(WORDS[number % 5 : 6 + number % 11])},
            ]
        }
        for number in range(count)
    ]


def main() -> None:
    folder, rounds, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    sys.path.insert(0, str(TESTS))
    in_process, oracle, tiny_model = map(importlib.import_module, ("in_process", "oracle", "tiny_model"))

    tiny_model.make(str(folder / "model"), 128, 256, 4)
    found: dict[str, list[float]] = {"ours": [], "trl": []}
    # The first round warms both up.
    for number in range(rounds + 1):
        path = folder / f"job-{number}.json"
        job = describe(folder, f"job-{number}", count)
        path.write_text(json.dumps(job))
        messages = in_process.train(path)
        steps = [message for message in messages if type(message).__name__ == "Step"]
        tokens = sum(step.tokens for step in steps)
        ours = tokens / (sum(step.ms for step in steps) / 1000)
        trainer = oracle.trainer_of(in_process.read_job(path))
        began = perf_counter()
        trainer.train()
        if number:
            found["ours"].append(ours)
            found["trl"].append(tokens / (perf_counter() - began))
    print(json.dumps(found))


def describe(folder: Path, name: str, count: int) -> dict[str, Any]:
    work = folder / name
    (work / "state").mkdir(parents=True)
    (work / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(count)))
    data = {"dataset_id": "rows", "batch_size": BATCH, "shuffle": False, "data_format": "dialog"}
    optimizer = {"optimizer_type": "adamw", "lr": 1e-3, "weight_decay": 0.0, "num_warmup_steps": 0}
    return {
        "job_uuid": name,
        "base": str(folder / "model"),
        "rows": str(work / "rows.jsonl"),
        "config": {
            "n_epochs": 1,
            "max_steps_per_epoch": 1000,
            "gradient_accumulation_steps": 1,
            "max_validation_steps": 1,
            "data": data,
            "optimizer": optimizer,
            "dtype": "fp32",
        },
        "algorithm": {"type": "full"},
        "output": str(work / "checkpoints"),
        "work": str(work),
        "state": str(work / "state"),
        "seed": 1,
    }


if __name__ == "__main__":
    main()
