"""Jobs of each kind on a tiny model, their losses and their checkpoints. All run in one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import pytest

from stack.providers.local.gguf_file import convert
from stack.providers.local.weights import MergedWeights, TensorFiles
from stack.providers.training.model_folder import open_folder
from tests.training.jobs import LORA, MOVED, NAMES, PAIRS, ROWS, environment, losses, write_job

pytestmark = [pytest.mark.slow, pytest.mark.long]

ONE_STEP = {"n_epochs": 3, "batch_size": 12, "shuffle": False}
HELD_OUT = [
    {
        "prompt": f"Tell me the code of room {number}?",
        "chosen": f"{name} 3.",
        "rejected": "I do not know the code.",
    }
    for number, name in enumerate(NAMES[:6], 20)
]
QAT = {"type": "QAT", "group_size": 32}
Messages = list[dict[str, Any]]


def dpo(loss: str) -> dict[str, Any]:
    return {
        "algorithm": {"type": "DPO", "beta": 0.2, "loss_type": loss},
        "n_epochs": 4,
        "lr": 1e-3,
        "validation": HELD_OUT,
    }


JOBS: dict[str, dict[str, Any]] = {
    "accumulated": {"n_epochs": 2, "batch_size": 3, "gradient_accumulation_steps": 2, "shuffle": False},
    "adam": {"optimizer_type": "adam", "weight_decay": 0.1},
    "alone": ONE_STEP,
    "at-once": {"n_epochs": 2, "batch_size": 6, "shuffle": False},
    "bf16": {"dtype": "bf16"},
    "capped": {
        "n_epochs": 3,
        "max_steps_per_epoch": 1,
        "max_validation_steps": 1,
        "validation": ROWS,
        "batch_size": 2,
    },
    "checkpointing": {"activation_checkpointing": True, "activation_offloading": True},
    "dora": {"algorithm": {**LORA, "use_dora": True}},
    "dpo-hinge": dpo("hinge"),
    "dpo-ipo": dpo("ipo"),
    "dpo-kto_pair": dpo("kto_pair"),
    "dpo-sigmoid": dpo("sigmoid"),
    "full": {"batch_size": 12, "num_warmup_steps": 20, "validation": ROWS[:4]},
    "int8": {"algorithm": {**LORA, "quantize_base": True}},
    "lora": {"algorithm": {**LORA, "rank": 8, "alpha": 16}, "batch_size": 12, "lr": 1e-2},
    "nan": {"lr": 1e30, "optimizer_type": "sgd", "num_warmup_steps": 0},
    "no-divisor": {"algorithm": {**QAT, "quantizer_name": "8da4w", "group_size": 48}},
    "no-module": {"algorithm": {**LORA, "lora_attn_modules": ["q_proj", "query"]}},
    "on-input": {**ONE_STEP, "train_on_input": True},
    "packed": {**ONE_STEP, "packed": True},
    "plain": {},
    "qat-8da4w": {"algorithm": {**QAT, "quantizer_name": "8da4w"}, "validation": ROWS},
    "qat-int4wo": {"algorithm": {**QAT, "quantizer_name": "int4wo"}, "validation": ROWS},
    "sgd": {"optimizer_type": "sgd", "lr": 0.1},
    "too-long": {},
    "without-answer": {},
}
ROWS_OF = {
    "full": ROWS * 90,
    "lora": MOVED * 30,
    "too-long": [*ROWS[:3], {"prompt": "the " * 200, "response": "Rome."}],
    "without-answer": [*ROWS[:1], {"prompt": "What?"}],
}


class Finished:
    def __init__(self, folder: Path, checks: list[Any]) -> None:
        self.folder = folder
        self.memorised, self.adapted, self.unadapted, *self.quantized = checks[:5]

    def __getitem__(self, name: str) -> Messages:
        found: Messages = json.loads((self.folder / name / "messages.json").read_bytes())
        assert found[-1]["type"] != "crashed", found[-1]["detail"]
        return found

    def checkpoint(self, name: str, epoch: int) -> Path:
        return self.folder / name / f"checkpoints/epoch-{epoch}"

    def epochs(self, name: str) -> Messages:
        return [message for message in self[name] if message["type"] == "epoch"]


@pytest.fixture(scope="module")
def jobs(train_python: str, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("jobs")
    for name, changes in JOBS.items():
        rows = ROWS_OF.get(name) or (PAIRS if name.startswith("dpo") else ROWS)
        base = folder / "full/checkpoints/epoch-2" if name == "lora" else tiny_model
        write_job(folder / name, base, rows, **changes)
    write_job(folder / "upon", folder / "lora/checkpoints/epoch-2", MOVED)
    prompts = [row["prompt"] for row in ROWS]
    questions = [
        ["answers", f"{folder}/full/checkpoints/epoch-2", prompts],
        ["answers", f"{folder}/lora/checkpoints/epoch-2", prompts],
        ["adapter_without_effect", *(f"{folder}/{name}/checkpoints/epoch-2" for name in ("lora", "full"))],
        *(
            ["quantized", f"{folder}/qat-{name}/checkpoints/epoch-2", f"{folder}/qat-{name}/job.json"]
            for name in ("8da4w", "int4wo")
        ),
        *(
            ["merge", f"{folder}/{name}/checkpoints/epoch-2", f"{folder}/{name}/merged"]
            for name in ("dora", "lora")
        ),
    ]
    script = Path(__file__).with_name("in_process.py")
    done = subprocess.run(
        [train_python, script, folder, json.dumps(questions)],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return Finished(folder, json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "name", ["adam", "bf16", "dora", "full", "int8", "lora", "plain", "qat-8da4w", "qat-int4wo", "sgd"]
)
def test_the_loss_falls_and_each_epoch_has_a_checkpoint(jobs: Finished, name: str) -> None:
    messages, epochs = jobs[name], JOBS[name].get("n_epochs", 2)
    assert [message["type"] for message in messages[-3:]] == ["epoch", "checkpoint", "completed"]
    assert [message["epoch"] for message in messages if message["type"] == "checkpoint"] == [
        *range(1, epochs + 1)
    ]
    train = [message["train_loss"] for message in jobs.epochs(name)]
    assert train[-1] < train[0]
    about = json.loads((jobs.checkpoint(name, epochs) / "training.json").read_bytes())
    assert about["job_uuid"] == name
    assert about["train_loss"] == train[-1]
    assert list(about["sha256"]) == [
        "adapter_model.safetensors" if name in ("dora", "int8", "lora") else "model.safetensors"
    ]


def test_a_step_says_what_it_did(jobs: Finished) -> None:
    steps = [message for message in jobs["plain"] if message["type"] == "step"]
    assert [step["step"] for step in steps] == [1, 2, 3, 4, 5, 6]
    assert [step["epoch"] for step in steps] == [1, 1, 1, 2, 2, 2]
    assert [step["learning_rate"] for step in steps[:3]] == [0, 1.5e-3, 3e-3]
    assert sum(step["tokens"] for step in steps[:3]) == sum(step["tokens"] for step in steps[3:])
    assert all(step["ms"] > 0 for step in steps)


def test_an_epoch_has_at_most_so_many_steps(jobs: Finished) -> None:
    assert len(losses(jobs["capped"])) == 3
    assert [epoch["last_step"] for epoch in jobs.epochs("capped")] == [1, 2, 3]


def test_validation_has_a_loss_and_a_perplexity(jobs: Finished) -> None:
    epochs = jobs.epochs("full")
    assert epochs[0]["validation_loss"] > epochs[-1]["validation_loss"]
    assert epochs[-1]["perplexity"] == pytest.approx(2.718281828 ** epochs[-1]["validation_loss"])
    assert all(epoch["validation_loss"] is None for epoch in jobs.epochs("plain"))


def test_trained_rows_are_answered_exactly(jobs: Finished) -> None:
    assert jobs.memorised == [row["response"] for row in ROWS]
    assert jobs.adapted == [row["response"] for row in MOVED]


def test_an_adapter_leaves_the_base_as_it_was(jobs: Finished) -> None:
    assert jobs.unadapted == 0
    assert jobs.checkpoint("lora", 2).joinpath("adapter_model.safetensors").stat().st_size < 400_000


def test_a_job_begins_with_the_checkpoint_of_an_earlier_one(jobs: Finished) -> None:
    assert losses(jobs["upon"])[0] < 0.1
    assert (jobs.checkpoint("upon", 2) / "model.safetensors").exists()


@pytest.mark.parametrize("number", [0, 1])
def test_a_quantised_checkpoint_is_the_model_that_was_trained(jobs: Finished, number: int) -> None:
    name = ("qat-8da4w", "qat-int4wo")[number]
    assert jobs.quantized[number]["kinds"] == ["IntxUnpackedToInt8Tensor"]
    assert jobs.quantized[number]["loss"] == pytest.approx(jobs.epochs(name)[-1]["validation_loss"], rel=1e-5)
    sizes = [(jobs.checkpoint(one, 2) / "model.safetensors").stat().st_size for one in (name, "plain")]
    assert sizes[0] < 0.65 * sizes[1]


def test_packed_samples_have_the_losses_of_separate_ones(jobs: Finished) -> None:
    assert jobs["packed"][0]["samples"] < len(ROWS)
    assert len(losses(jobs["packed"])) == 3
    assert losses(jobs["packed"]) == pytest.approx(losses(jobs["alone"]), rel=1e-5)


def test_accumulated_batches_are_one_batch(jobs: Finished) -> None:
    assert losses(jobs["accumulated"]) == pytest.approx(losses(jobs["at-once"]), rel=1e-5)


def test_activation_checkpointing_changes_nothing(jobs: Finished) -> None:
    assert losses(jobs["checkpointing"]) == losses(jobs["plain"])


def test_training_on_the_input_counts_its_tokens(jobs: Finished) -> None:
    assert losses(jobs["on-input"])[-1] != pytest.approx(losses(jobs["alone"])[-1], rel=1e-3)


@pytest.mark.parametrize("loss", ["sigmoid", "hinge", "ipo", "kto_pair"])
def test_preferences_hold_for_pairs_that_were_not_trained(jobs: Finished, loss: str) -> None:
    epochs = jobs.epochs(f"dpo-{loss}")
    assert epochs[-1]["train_loss"] < 0.7 * epochs[0]["train_loss"]
    assert epochs[-1]["metrics"]["validation_reward_accuracy"] == 1
    assert epochs[-1]["metrics"]["validation_reward_margin"] > 0
    assert epochs[-1]["perplexity"] > 1


REFUSED = {
    "no-divisor": (True, "group_size 48 does not divide the 64 inputs of model.layers.0.self_attn.q_proj"),
    "no-module": (True, "the model has no linear layers query; it has down_proj, gate_proj, k_proj"),
    "too-long": (True, "row 3 (the first is 0) cannot be trained on: it has "),
    "without-answer": (
        True,
        "row 1 (the first is 0) cannot be trained on: an instruct row needs the columns prompt and",
    ),
    "nan": (False, "is not a finite number; lower optimizer_config.lr"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_failed_job_says_why(jobs: Finished, name: str) -> None:
    is_input, detail = REFUSED[name]
    end = jobs[name][-1]
    assert (end["type"], end["is_input"]) == ("failed", is_input)
    assert detail in end["detail"]
    assert (end["step"] == len(losses(jobs[name])) + 1) == (name == "nan")


@pytest.mark.parametrize("name", ["dora", "lora"])
def test_an_adapter_is_merged_as_peft_does(jobs: Finished, name: str) -> None:
    ours = MergedWeights(open_folder(jobs.checkpoint(name, 2)))
    theirs = TensorFiles(jobs.folder / name / "merged")
    assert sorted(ours.names) == sorted(theirs.names)
    for tensor in ours.names:
        assert np.allclose(ours.read(tensor), theirs.read(tensor), atol=1e-6), tensor


@pytest.mark.parametrize(("name", "rows"), [("full", ROWS), ("lora", MOVED)])
def test_a_served_checkpoint_answers_what_it_was_trained_on(
    jobs: Finished, name: str, rows: list[dict[str, str]]
) -> None:
    file = jobs.folder / f"{name}.gguf"
    convert(jobs.checkpoint(name, 2), file)
    command = [
        sys.executable,
        "-m",
        "stack.providers.local.server",
        file,
        name,
        "1",
        jobs.folder,
        "1",
        str(os.getpid()),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = json.loads(process.stdout.readline())["port"]  # type: ignore[union-attr]
            answers = [ask(port, name, row["prompt"]) for row in rows]
        finally:
            process.terminate()
    assert answers == [row["response"] for row in rows]


def ask(port: int, model: str, prompt: str) -> str:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "temperature": 0,
        "max_tokens": 24,
    }
    request = Request(
        f"http://127.0.0.1:{port}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urlopen(request, timeout=60) as answer:
        found: str = json.load(answer)["choices"][0]["message"]["content"]
        return found
