"""Training jobs as their callers use them, over a fake interpreter that trains nothing."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import httpx

from tests.server.api import parse
from tests.server.datasets import Datasets
from tests.server.process import wait_until
from tests.servers import fake_trainer

ENDED = ("completed", "failed", "cancelled")
LORA = {
    "type": "LoRA",
    "lora_attn_modules": ["q_proj", "output_proj"],
    "apply_lora_to_mlp": False,
    "apply_lora_to_output": False,
    "rank": 4,
    "alpha": 8,
}


def prompts(count: int) -> list[dict[str, Any]]:
    return [{"prompt": f"Question {number}?", "response": f"Answer {number}."} for number in range(count)]


class Trainings:
    """Calls on one server. `roots` is a folder of its setting `train_roots`."""

    def __init__(self, http: httpx.Client, roots: Path, prefix: str = "/v1alpha") -> None:
        self.http = http
        self.roots = roots
        self.path = f"{prefix}/post-training"
        self.datasets = Datasets(http)

    def model(self, **script: Any) -> str:
        """The name of a new base model, whose worker does what `script` says."""
        name = f"base-{uuid.uuid4()}"
        fake_trainer.base_model(self.roots / name, **script)
        return name

    def body(self, model: str, rows: int = 8, **training: Any) -> dict[str, Any]:
        """A request with a new dataset of so many rows. `data` in `training` changes its data_config."""
        data = {
            "dataset_id": self.datasets.registered(prompts(rows)),
            "batch_size": 2,
            "shuffle": True,
            "data_format": "instruct",
            **training.pop("data", {}),
        }
        config = {
            "n_epochs": 2,
            "max_steps_per_epoch": 100,
            "gradient_accumulation_steps": 1,
            "data_config": data,
            "optimizer_config": {
                "optimizer_type": "adamw",
                "lr": 0.01,
                "weight_decay": 0.0,
                "num_warmup_steps": 0,
            },
            "dtype": "fp32",
        }
        return {
            "job_uuid": str(uuid.uuid4()),
            "model": model,
            "training_config": config | training,
            "hyperparam_search_config": {},
            "logger_config": {},
        }

    def post(self, body: dict[str, Any], **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.post(f"{self.path}/supervised-fine-tune", json=body, headers=named)

    def scheduled(self, body: dict[str, Any]) -> str:
        """The id of a new job."""
        answer = self.post(body)
        assert answer.status_code == 200, answer.text
        assert answer.json() == {"job_uuid": body["job_uuid"]}
        return str(body["job_uuid"])

    def read(self, what: str, job_uuid: str, **query: Any) -> httpx.Response:
        return self.http.get(f"{self.path}/job/{what}", params={"job_uuid": job_uuid} | query)

    def status(self, job_uuid: str) -> dict[str, Any]:
        answer = self.read("status", job_uuid)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def outcome(self, job_uuid: str) -> dict[str, Any]:
        answer = self.read("outcome", job_uuid)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def ended(self, job_uuid: str) -> dict[str, Any]:
        """The outcome of a job, once it has ended."""
        wait_until(lambda: self.outcome(job_uuid)["status"] in ENDED)
        return self.outcome(job_uuid)

    def cancel(self, job_uuid: str) -> httpx.Response:
        return self.http.post(f"{self.path}/job/cancel", json={"job_uuid": job_uuid})

    def frames(self, job_uuid: str, **headers: str) -> list[dict[str, Any]]:
        """All frames of a job, to its end."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.http.get(f"{self.path}/jobs/{job_uuid}/events", headers=named)
        assert answer.status_code == 200, answer.text
        return [frame.value["event"] for frame in parse(answer.content)]

    def losses(self, job_uuid: str) -> dict[int, float]:
        """The loss of each step, the last one where a step was repeated."""
        return {
            frame["first_step"] + number: loss
            for frame in self.frames(job_uuid)
            if frame["event_type"] == "steps_done"
            for number, loss in enumerate(frame["losses"])
        }

    def starts(self, model: str) -> list[dict[str, Any]]:
        """The starts of workers with this base model, `{pid, epochs_done}`."""
        journal = self.roots / model / "journal"
        return [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []
