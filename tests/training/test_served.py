"""The loop through a real server: rows are trained, the checkpoint is a model, and it answers them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.server.process import Replaystack, wait_until
from tests.server.trainings import Trainings
from tests.training.jobs import ROWS

pytestmark = [pytest.mark.slow, pytest.mark.long]

ENOUGH_S = 300.0


def test_a_checkpoint_of_a_killed_server_is_a_model(
    train_python: str, tiny_model: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_model, tmp_path / "models/tiny")
    settings = {"train_python": train_python, "train_roots": tmp_path / "models"}
    environment = {"OMP_NUM_THREADS": "1"}
    with Replaystack(tmp_path / "data", settings=settings, environment=environment) as server:
        with server.http() as http:
            trainings = Trainings(http, tmp_path / "models")
            data = {"dataset_id": trainings.datasets.registered(ROWS * 30), "batch_size": 12}
            optimizer = {"optimizer_type": "adamw", "lr": 3e-3, "weight_decay": 0.0, "num_warmup_steps": 20}
            body = trainings.body("tiny", data=data, n_epochs=6, optimizer_config=optimizer)
            job = trainings.scheduled(body)
            wait_until(lambda: trainings.status(job)["checkpoints"], ENOUGH_S)
        server.kill9()
        server.start()
        with server.http() as http:
            trainings = Trainings(http, tmp_path / "models")
            wait_until(lambda: trainings.outcome(job)["status"] in ("completed", "failed"), ENOUGH_S)
            outcome = trainings.outcome(job)
            assert outcome["status"] == "completed", outcome
            assert sorted(trainings.losses(job)) == list(range(1, 181))
            model = f"local/{job}-epoch-6"
            answers = []
            for row in ROWS:
                question = {
                    "model": model,
                    "messages": [{"role": "user", "content": row["prompt"]}],
                    "temperature": 0,
                    "max_tokens": 24,
                }
                answer = http.post("/v1/chat/completions", json=question, timeout=120)
                assert answer.status_code == 200, answer.text
                answers.append(answer.json()["choices"][0]["message"]["content"])
            assert answers == [row["response"] for row in ROWS]
            assert model in [one["identifier"] for one in http.get("/v1/models").json()["data"]]
            unknown = http.post("/v1/chat/completions", json=question | {"model": "local/none"})
            assert unknown.status_code == 400
            assert "neither a model of the setting local_models nor" in unknown.text
        server.check_healthy()
