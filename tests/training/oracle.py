"""Trains the same rows with the product's trainer and with TRL's: `PYTHON oracle.py FOLDER CASE...`.

FOLDER/CASE/job.json describes the job. The losses of both are printed as one JSON object. It runs in the
interpreter that has torch and TRL.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any


def trl(job: Any) -> list[float]:
    """Returns the losses of TRL's trainer."""
    trainer = trainer_of(job)
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def trainer_of(job: Any) -> Any:
    """Returns TRL's trainer with the model, rows, optimizer and schedule of a job."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

    rows = [json.loads(line) for line in Path(job.rows).read_text().splitlines()]
    config = job.config
    options: dict[str, Any] = {
        "output_dir": tempfile.mkdtemp(),
        "num_train_epochs": config.n_epochs,
        "per_device_train_batch_size": config.data.batch_size,
        "gradient_accumulation_steps": config.gradient_accumulation_steps,
        "learning_rate": config.optimizer.lr,
        "weight_decay": config.optimizer.weight_decay,
        "warmup_steps": config.optimizer.num_warmup_steps,
        "lr_scheduler_type": "cosine",
        "optim": "adamw_torch",
        "train_sampling_strategy": "sequential",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "seed": 1,
    }
    model = AutoModelForCausalLM.from_pretrained(job.base)
    tokenizer = AutoTokenizer.from_pretrained(job.base)
    trainer: Any
    if job.algorithm.type == "DPO":
        rows = [
            {
                "prompt": [{"role": "user", "content": row["prompt"]}],
                "chosen": [{"role": "assistant", "content": row["chosen"]}],
                "rejected": [{"role": "assistant", "content": row["rejected"]}],
            }
            for row in rows
        ]
        arguments = DPOConfig(
            **options, beta=job.algorithm.beta, loss_type=[job.algorithm.loss_type], max_length=None
        )
        trainer = DPOTrainer(
            model, args=arguments, train_dataset=Dataset.from_list(rows), processing_class=tokenizer
        )
    else:
        rows = [{"messages": row["messages"]} for row in rows]
        arguments = SFTConfig(**options, assistant_only_loss=True, max_length=None)
        trainer = SFTTrainer(
            model, args=arguments, train_dataset=Dataset.from_list(rows), processing_class=tokenizer
        )
    return trainer


def main() -> None:
    from in_process import read_job, train

    folder, *cases = sys.argv[1:]
    found = {}
    for case in cases:
        path = Path(folder) / case / "job.json"
        ours = [message.loss for message in train(path) if type(message).__name__ == "Step"]
        found[case] = {"ours": ours, "trl": trl(read_job(path))}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
