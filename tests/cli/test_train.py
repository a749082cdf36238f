"""`replaystack train` as a user runs it, over a fake interpreter that trains nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stack.cli.loss_curve import curve
from stack.cli.train_request import request
from tests.cli.folders import replaystack
from tests.server.process import Replaystack, wait_until
from tests.server.trainings import Trainings, prompts
from tests.servers import fake_trainer

OPTIONS = (
    "job_uuid", "model", "dataset", "validation", "method", "data_format", "epochs", "steps", "batch_size", "lr",
    "rank", "dtype", "checkpoint_dir",
)  # fmt: skip


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Replaystack, Trainings]]:
    folder = tmp_path_factory.mktemp("train")
    (folder / "models").mkdir()
    settings = {
        "train_python": fake_trainer.interpreter(folder / "python"),
        "train_roots": folder / "models",
    }
    with Replaystack(folder / "data", settings=settings) as server, server.http() as http:
        yield server, Trainings(http, folder / "models")


def train(server: Replaystack, *arguments: str, code: int = 0) -> str:
    result = replaystack("train", *arguments, "--data", str(server.data))
    assert result.returncode == code, result.stderr
    return result.stdout if code in (0, 1) else result.stderr


@pytest.mark.slow
def test_a_job_is_trained_followed_and_shown(training: tuple[Replaystack, Trainings], tmp_path: Path) -> None:
    server, trainings = training
    dataset = trainings.datasets.registered(prompts(8))
    said = train(
        server, "--model", trainings.model(), "--dataset", dataset, "--epochs", "2", "--job", "first"
    )
    assert "first: completed, step 4 of 4" in said and "first-epoch-2" in said and "┤" in said
    file = tmp_path / "job.toml"
    file.write_text(
        f'model = "{trainings.model()}"\n[training_config]\nn_epochs = 3\n'
        f'[training_config.data_config]\ndataset_id = "{dataset}"\n'
    )
    found = json.loads(train(server, str(file), "--batch-size", "8", "--json"))
    assert (found["status"], found["step"], len(found["checkpoints"])) == ("completed", 3, 3)
    assert found["algorithm"] == "full"
    slow = trainings.model(step_ms=20)
    job = train(server, "--model", slow, "--dataset", dataset, "--epochs", "1000", "--detach").strip()
    wait_until(lambda: trainings.starts(slow))
    train(server, "cancel", job)
    assert f"{job}: cancelled" in train(server, "show", job, code=1)
    listed = train(server, "list")
    assert listed.index(job[:8]) < listed.index("first")


@pytest.mark.slow
def test_a_job_that_fails_or_is_refused_has_an_exit_code(training: tuple[Replaystack, Trainings]) -> None:
    server, trainings = training
    dataset = trainings.datasets.registered(prompts(8))
    broken = trainings.model(at_step={"2": "exit"})
    assert "out of ideas" in train(server, "--model", broken, "--dataset", dataset, code=1)
    assert (
        "neither a folder"
        in replaystack("train", "--model", "gone", "--dataset", dataset, "--data", str(server.data)).stderr
    )
    assert "--dataset" in train(server, "--model", broken, code=2)


def requested(**chosen: Any) -> tuple[str, dict[str, Any]]:
    return request(None, dict.fromkeys(OPTIONS) | {"model": "m", "dataset": "d"} | chosen)


def test_a_request_is_made_of_options() -> None:
    path, body = requested(rank=4, lr=0.1)
    assert path.endswith("supervised-fine-tune")
    assert (body["algorithm_config"]["rank"], body["algorithm_config"]["alpha"]) == (4, 8)
    assert body["training_config"]["optimizer_config"]["lr"] == 0.1
    path, body = requested(method="dpo")
    assert path.endswith("preference-optimize") and body["finetuned_model"] == "m" and "model" not in body
    assert "algorithm_config" not in requested(method="full")[1]


def test_a_curve_falls_from_its_highest_to_its_lowest_value() -> None:
    lines = curve([10 - number for number in range(10)], 40, 4)
    assert [line.split(" ┤")[0].strip() for line in lines] == ["10", "", "", "1"]
    assert len(curve(list(range(10_000)), 40, 4)[0]) <= 40
    assert curve([], 40, 4) == [] and len(curve([1.0], 40, 4)) == 4
