"""Training jobs: what is asked, what is refused, and how a worker is followed and ended."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from llama_stack_client import LlamaStackClient

from tests.server.process import Replaystack, wait_until
from tests.server.telemetry import Telemetry, where
from tests.server.trainings import LORA, Trainings, prompts
from tests.servers import fake_trainer


@pytest.fixture(scope="module")
def training_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Replaystack, Path]]:
    folder = tmp_path_factory.mktemp("training")
    roots = folder / "models"
    roots.mkdir()
    settings = {
        "train_python": fake_trainer.interpreter(folder / "python"),
        "train_roots": roots,
        "train_running_jobs": 2,
        "train_silence_s": 2,
        "train_cancel_grace_s": 1,
    }
    with Replaystack(folder / "data", settings=settings) as server:
        yield server, roots
        server.check_healthy()


@pytest.fixture(scope="module")
def trainings(training_server: tuple[Replaystack, Path]) -> Iterator[Trainings]:
    server, roots = training_server
    with server.http() as http:
        yield Trainings(http, roots)


def test_a_job_trains_and_leaves_its_checkpoints(trainings: Trainings) -> None:
    validation = trainings.datasets.registered([{"question": "1+1", "answer": "2"}])
    body = trainings.body(
        trainings.model(), rows=8, n_epochs=3, data={"validation_dataset_id": validation}
    ) | {"algorithm_config": LORA}
    job = trainings.scheduled(body)
    outcome = trainings.ended(job)
    assert outcome["status"] == "completed", outcome.get("error")
    assert "error" not in outcome
    assert (outcome["epochs_done"], outcome["step"], outcome["total_steps"]) == (3, 12, 12)
    assert (outcome["algorithm"], outcome["dataset_version"]) == ("LoRA", 1)
    status = trainings.status(job)
    assert status["status"] == "completed" and status["resources_allocated"]["device"] == "fake"
    assert status["scheduled_at"] <= status["started_at"] <= status["completed_at"]
    assert [one["epoch"] for one in status["checkpoints"]] == [1, 2, 3]
    last = status["checkpoints"][-1]
    assert last["identifier"] == f"{job}-epoch-3" and last["post_training_job_id"] == job
    assert Path(last["path"]).is_dir()
    assert last["training_metrics"]["validation_loss"] == pytest.approx(fake_trainer.loss_of(42, 12))
    assert trainings.read("artifacts", job).json()["checkpoints"] == status["checkpoints"]
    assert trainings.losses(job) == {step: fake_trainer.loss_of(42, step) for step in range(1, 13)}
    kinds = [frame["event_type"] for frame in trainings.frames(job)]
    assert kinds[:3] == ["scheduled", "started", "prepared"] and kinds[-1] == "completed"
    assert {"job_uuid": job} in trainings.http.get(f"{trainings.path}/jobs").json()["data"]


def test_paths_of_other_clients_answer_the_same(trainings: Trainings) -> None:
    job = trainings.scheduled(trainings.body(trainings.model()))
    trainings.ended(job)
    for prefix in ("/v1alpha", "/v1", ""):
        root = f"{prefix}/post-training/jobs/{job}"
        for what in ("status", "artifacts"):
            assert trainings.http.get(f"{root}/{what}").json() == trainings.read(what, job).json()
        assert trainings.http.post(f"{root}/cancel").status_code == 200
    assert trainings.read("status", job).json()["status"] == "completed"
    old = Trainings(trainings.http, trainings.roots, "/v1")
    assert old.status(job) == trainings.status(job)
    assert trainings.read("outcome", job).headers["x-job-status"] == "completed"


def test_a_checkpoint_is_a_base_model(trainings: Trainings) -> None:
    first = trainings.scheduled(trainings.body(trainings.model()))
    trainings.ended(first)
    checkpoint = trainings.status(first)["checkpoints"][0]
    second = trainings.scheduled(trainings.body(checkpoint["identifier"]))
    assert trainings.ended(second)["status"] == "completed"
    Path(checkpoint["path"]).rename(Path(checkpoint["path"]).with_name("moved"))
    answer = trainings.post(trainings.body(checkpoint["identifier"]))
    assert answer.status_code == 400 and "was deleted" in answer.json()["detail"]


def test_an_unknown_job_is_not_found(trainings: Trainings) -> None:
    for what in ("status", "artifacts", "outcome"):
        assert trainings.read(what, "unknown").status_code == 404
        assert trainings.http.get(f"{trainings.path}/job/{what}").status_code == 400
    for unknown in ("unknown", "", "a/b", "a\nb"):
        assert trainings.cancel(unknown).status_code == 404
    assert trainings.http.get(f"{trainings.path}/jobs/unknown/events").status_code == 404


def test_a_used_id_is_a_conflict_and_a_repeated_key_is_not(trainings: Trainings) -> None:
    body = trainings.body(trainings.model())
    key = str(uuid.uuid4())
    first = trainings.post(body, idempotency_key=key)
    again = trainings.post(body, idempotency_key=key)
    assert first.status_code == again.status_code == 200 and first.json() == again.json()
    assert trainings.post(body).status_code == 409
    trainings.ended(body["job_uuid"])
    assert trainings.post(body).status_code == 409
    assert len(trainings.starts(body["model"])) == 1
    other = trainings.body(trainings.model())
    trainings.scheduled(other)
    assert trainings.post(other, x_stainless_retry_count="1").status_code == 200


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"hyperparam_search_config": {"lr": [1]}}, "hyperparam_search_config must be empty"),
    ({"logger_config": {"a": 1}}, "logger_config must be empty"),
    ({"model": "gone"}, "model is 'gone'"),
    ({"model": "/etc"}, "train_roots"),
    ({"model": "../models"}, "model is '../models'"),
    ({"job_uuid": "a/b"}, "slash"),
    ({"job_uuid": ""}, "job_uuid is empty"),
    ({"checkpoint_dir": "/etc/checkpoints"}, "train_roots"),
    ({"checkpoint_dir": "../out"}, "train_roots"),
    ({"algorithm_config": LORA | {"rank": 0}}, "algorithm_config.rank is 0"),
    ({"algorithm_config": LORA | {"lora_attn_modules": ["q_prj"]}}, "Did you mean 'q_proj'?"),
    ({"algorithm_config": LORA | {"lora_attn_modules": []}}, "names no module"),
    ({"algorithm_config": LORA | {"quantize_base": True, "use_dora": True}}, "use_dora"),
    ({"algorithm_config": {"type": "QAT", "quantizer_name": "8da4", "group_size": 32}}, "use 8da4w"),
    ({"algorithm_config": {"type": "QAT", "quantizer_name": "int4wo", "group_size": 48}}, "does not divide"),
    ({"training_config": {"dtype": "fp16"}}, "NaN"),
    ({"training_config": {"dtype": "float32"}}, "use bf16"),
    ({"training_config": {"n_epochs": 0}}, "n_epochs is 0"),
    ({"training_config": {"max_steps_per_epoch": 0}}, "max_steps_per_epoch is 0"),
    ({"training_config": {"data_config": None}}, "data_config is missing"),
    ({"training_config": {"efficiency_config": {"fsdp_cpu_offload": True}}}, "FSDP"),
    ({"training_config": {"efficiency_config": {"enable_activation_offloading": True}}}, "trains on the CPU"),
    ({"training_config": {"data_config": {"batch_size": 0}}}, "batch_size is 0"),
    ({"training_config": {"data_config": {"dataset_id": "gone"}}}, "data_config.dataset_id"),
    ({"training_config": {"data_config": {"validation_dataset_id": "gone"}}}, "validation_dataset_id"),
    ({"training_config": {"data_config": {"data_format": "dialog"}}}, "needs the column messages"),
    ({"training_config": {"optimizer_config": {"lr": -1}}}, "lr is -1"),
]


@pytest.mark.parametrize(("change", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_what_cannot_be_done_is_refused_before_the_job_exists(
    trainings: Trainings, change: dict[str, Any], said: str
) -> None:
    body = merged(trainings.body(trainings.model()), change)
    answer = trainings.post(body)
    assert answer.status_code == 400, answer.text
    assert said in answer.json()["detail"]
    assert trainings.read("status", body["job_uuid"] or "none").status_code == 404


def merged(body: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    known = {name: body.get(name) for name in change}
    return body | {
        name: merged(known[name], value)
        if isinstance(value, dict) and isinstance(known[name], dict) and known[name]
        else value
        for name, value in change.items()
    }


def test_an_empty_dataset_is_refused(trainings: Trainings) -> None:
    empty = trainings.datasets.registered([])
    answer = trainings.post(trainings.body(trainings.model(), data={"dataset_id": empty}))
    assert answer.status_code == 400 and "has no rows" in answer.json()["detail"]


def test_damaged_and_pickled_models_are_refused(trainings: Trainings) -> None:
    cut, pickled = trainings.model(), trainings.model()
    weights = trainings.roots / cut / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    (trainings.roots / pickled / "model.safetensors").rename(trainings.roots / pickled / "pytorch_model.bin")
    for model, said in ((cut, "is damaged"), (pickled, "a pickle can run code")):
        answer = trainings.post(trainings.body(model))
        assert answer.status_code == 400 and said in answer.json()["detail"], answer.text


def test_two_jobs_that_want_one_folder(trainings: Trainings) -> None:
    folder = str(trainings.roots / f"out-{uuid.uuid4()}")
    slow = trainings.model(step_ms=100, load_ms=500)
    first = trainings.scheduled(trainings.body(slow) | {"checkpoint_dir": folder})
    for wanted in (folder, f"{folder}/below"):
        answer = trainings.post(trainings.body(slow) | {"checkpoint_dir": wanted})
        assert answer.status_code == 409 and first in answer.json()["detail"], answer.text
    trainings.ended(first)
    assert trainings.status(first)["checkpoints"][0]["path"] == f"{folder}/epoch-1"
    answer = trainings.post(trainings.body(slow) | {"checkpoint_dir": folder})
    assert answer.status_code == 400 and "not empty" in answer.json()["detail"]


CRASHES = [
    ("exit", "exit code 3", "out of ideas"),
    ("kill", "was ended by SIGKILL", ""),
    ("stop", "no sign of life", "train_silence_s"),
    ("garbage", "not a message", ""),
    ("huge", "more than 65536 bytes", ""),
    ("skip", "step 3 comes next", ""),
    ("early", "epochs are saved", ""),
    ("fail", "The loss is not a number.", ""),
    ("close", "was ended by SIGKILL", ""),
]


@pytest.mark.parametrize(("action", "said", "more"), CRASHES, ids=[one[0] for one in CRASHES])
def test_a_worker_that_breaks_fails_its_job_with_the_reason(
    trainings: Trainings, action: str, said: str, more: str
) -> None:
    job = trainings.scheduled(trainings.body(trainings.model(at_step={"3": action})))
    outcome = trainings.ended(job)
    assert outcome["status"] == "failed"
    assert said in outcome["error"]["detail"] and more in outcome["error"]["detail"]
    assert trainings.losses(job) == {step: fake_trainer.loss_of(42, step) for step in (1, 2)}


def test_a_cancel_ends_a_job_at_a_step(trainings: Trainings) -> None:
    """A million epochs are allowed."""
    job = trainings.scheduled(trainings.body(trainings.model(step_ms=5), n_epochs=1_000_000))
    wait_until(lambda: trainings.outcome(job)["step"] > 0)
    assert trainings.cancel(job).content == b""
    outcome = trainings.outcome(job)
    assert outcome["status"] == "cancelled" and outcome["step"] > 0
    frames = trainings.frames(job)
    assert frames[-1]["event_type"] == "cancelled" and frames[-1]["forced"] is False
    assert frames[-1]["step"] == max(trainings.losses(job))
    assert trainings.cancel(job).status_code == 200


@pytest.mark.parametrize(
    "script", [{"at_step": {"2": "hang"}}, {"load_ms": 60_000}, {"at_step": {"2": "stop"}}]
)
def test_a_worker_that_does_not_end_is_killed_after_the_grace_time(
    trainings: Trainings, script: dict[str, Any]
) -> None:
    model = trainings.model(ignore_term=True, **script)
    job = trainings.scheduled(trainings.body(model))
    wait_until(lambda: trainings.starts(model))
    assert trainings.cancel(job).status_code == 200
    frame = trainings.frames(job)[-1]
    assert (frame["event_type"], frame["forced"]) == ("cancelled", True)


def test_jobs_wait_for_their_place_and_can_be_cancelled_there(trainings: Trainings) -> None:
    slow = [trainings.model(step_ms=10) for _ in range(3)]
    jobs = [trainings.scheduled(trainings.body(model, n_epochs=1_000_000)) for model in slow]
    wait_until(lambda: trainings.starts(slow[0]) and trainings.starts(slow[1]))
    assert trainings.status(jobs[2])["status"] == "scheduled"
    for job in reversed(jobs):
        assert trainings.cancel(job).status_code == 200
        assert trainings.status(job)["status"] == "cancelled"
    assert trainings.starts(slow[2]) == []


def test_a_job_keeps_the_version_it_started_with_and_ends_with_its_dataset(
    training_server: tuple[Replaystack, Path], trainings: Trainings
) -> None:
    server, _ = training_server
    body = trainings.body(trainings.model(step_ms=20), rows=4, n_epochs=1_000_000)
    dataset = body["training_config"]["data_config"]["dataset_id"]
    job = trainings.scheduled(body)
    wait_until(lambda: trainings.outcome(job)["step"] > 0)
    trainings.datasets.append(dataset, [{"prompt": "new", "response": "row"}])
    rows = (server.data / "training" / job / "rows.jsonl").read_text().splitlines()
    assert len(rows) == 4 and json.loads(rows[0]) == prompts(1)[0]
    assert trainings.http.delete(f"/v1beta/datasets/{dataset}").status_code == 200
    outcome = trainings.ended(job)
    assert (outcome["status"], outcome["error"]["status"]) == ("failed", 404)
    wait_until(lambda: not (server.data / "training" / job).exists())


def test_preference_optimisation(trainings: Trainings) -> None:
    pairs = [{"prompt": "Say yes.", "chosen": "yes", "rejected": "no"}] * 4
    body = trainings.body(trainings.model(), data={"dataset_id": trainings.datasets.registered(pairs)})
    body["finetuned_model"] = body.pop("model")
    body["algorithm_config"] = {"beta": 0.1, "loss_type": "ipo"}

    def post(**change: Any) -> httpx.Response:
        return trainings.http.post(f"{trainings.path}/preference-optimize", json=merged(body, change))

    assert post().status_code == 200
    assert trainings.ended(body["job_uuid"])["algorithm"] == "DPO"
    for change, said in (
        ({"algorithm_config": {"loss_type": "unknown"}}, "loss_type"),
        ({"algorithm_config": {"beta": 0}}, "beta is 0"),
        ({"training_config": {"data_config": {"packed": True}}}, "packed"),
    ):
        answer = post(job_uuid=str(uuid.uuid4()), **change)
        assert answer.status_code == 400 and said in answer.json()["detail"], answer.text


def test_a_job_is_in_telemetry(training_server: tuple[Replaystack, Path], trainings: Trainings) -> None:
    server, _ = training_server
    job = trainings.scheduled(trainings.body(trainings.model(), n_epochs=2))
    trainings.ended(job)
    with server.http() as http:
        telemetry = Telemetry(http)
        spans = telemetry.spans(where("job_uuid", "eq", job))
        parent = next(span for span in spans if span["name"].startswith("train base-"))
        epochs = [next(span for span in spans if span["name"] == f"train epoch {n}") for n in (1, 2)]
        assert [span["parent_span_id"] for span in epochs] == [parent["span_id"]] * 2
        assert epochs[1]["attributes"]["replaystack.training.loss"] > 0
        asked = {"start_time": 0, "end_time": 2**31, "query_type": "instant"}
        matching = {"label_matchers": [{"name": "job_uuid", "value": job, "operator": "="}]}
        [series] = telemetry.metric("replaystack.training.loss", **asked, **matching)
        assert series["values"][-1]["value"] == pytest.approx(fake_trainer.loss_of(42, 8))
        steps = telemetry.metric("replaystack.training.steps", **asked, label_matchers=[])
        assert sum(series["values"][-1]["value"] for series in steps) >= 8


def test_the_python_client_trains(training_server: tuple[Replaystack, Path], trainings: Trainings) -> None:
    server, _ = training_server
    client = LlamaStackClient(base_url=server.url)
    body = trainings.body(trainings.model())
    made = client.post_training.supervised_fine_tune(**body, algorithm_config=LORA)
    assert made.job_uuid == body["job_uuid"]
    trainings.ended(made.job_uuid)
    status = client.post_training.job.status(job_uuid=made.job_uuid)
    assert status is not None and status.status == "completed" and status.completed_at is not None
    artifacts = client.post_training.job.artifacts(job_uuid=made.job_uuid)
    assert artifacts is not None and len(artifacts.checkpoints) == 2
    assert made.job_uuid in [one.job_uuid for one in client.post_training.job.list()]
    client.post_training.job.cancel(job_uuid=made.job_uuid)
