"""Benchmarks and evaluation as their callers use them, and a benchmark of this project's own."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.server.api import parse
from tests.server.datasets import Datasets
from tests.server.process import wait_until

ANSWERS = "scripted/text;chunks=3"
"""A model that answers `The answer comes` to everything."""
ANSWER = "The answer comes"
EQUALITY = "basic::equality"
ACCURACY = {"type": "basic", "aggregation_functions": ["accuracy"]}
ENDED = ("completed", "failed", "cancelled")

READING = [
    json.loads(line)
    for line in Path(__file__).with_name("eval_reading.jsonl").read_text(encoding="utf-8").splitlines()
]
"""The project's own benchmark: short texts with questions. Of the first 20 the answer stands in the text word for
word; the last five take a thought."""


def model(name: str = ANSWERS, **more: Any) -> dict[str, Any]:
    """A benchmark configuration with a model as the candidate."""
    params = {"strategy": {"type": "greedy"}}
    return {"eval_candidate": {"type": "model", "model": name, "sampling_params": params}} | more


def agent(model_name: str = ANSWERS, **config: Any) -> dict[str, Any]:
    """The same with an agent."""
    own = {"model": model_name, "instructions": "Answer.", **config}
    return {"eval_candidate": {"type": "agent", "config": own}}


def asked(count: int, expected: str = ANSWER) -> list[dict[str, Any]]:
    """Rows that a model which always says `expected` answers as expected, every second one."""
    return [
        {"question": f"Question {number}?", "answer": expected if number % 2 == 0 else "no"}
        for number in range(count)
    ]


class Evals:
    """Calls on one server. What may fail comes back as the response."""

    def __init__(self, http: httpx.Client, prefix: str = "/v1alpha") -> None:
        self.http = http
        self.path = f"{prefix}/eval/benchmarks"
        self.datasets = Datasets(http)

    def register(
        self, benchmark_id: str, dataset_id: str, functions: list[str] | None = None, **more: Any
    ) -> httpx.Response:
        body = {
            "benchmark_id": benchmark_id,
            "dataset_id": dataset_id,
            "scoring_functions": [EQUALITY] if functions is None else functions,
        }
        return self.http.post(self.path, json=body | more)

    def registered(
        self, rows: list[dict[str, Any]] | None = None, functions: list[str] | None = None, name: str = ""
    ) -> Benchmark:
        """A new benchmark over a new dataset of these rows."""
        name = name or f"b/{uuid.uuid4()}"
        dataset_id = self.datasets.registered(asked(4) if rows is None else rows)
        answer = self.register(name, dataset_id, functions)
        assert (answer.status_code, answer.content) == (200, b""), answer.text
        return Benchmark(self, name, dataset_id)

    def show(self, benchmark_id: str) -> httpx.Response:
        return self.http.get(f"{self.path}/{benchmark_id}")

    def listed(self) -> dict[str, dict[str, Any]]:
        """All benchmarks by id, in order."""
        answer = self.http.get(self.path)
        assert answer.status_code == 200, answer.text
        return {one["identifier"]: one for one in answer.json()["data"]}

    def unregister(self, benchmark_id: str) -> httpx.Response:
        return self.http.delete(f"{self.path}/{benchmark_id}")


class Benchmark:
    """One benchmark."""

    def __init__(self, evals: Evals, name: str, dataset_id: str = "") -> None:
        self.evals = evals
        self.http = evals.http
        self.name = name
        self.dataset_id = dataset_id
        self.path = f"{evals.path}/{name}"

    def run(
        self, config: dict[str, Any] | None = None, wait: int | None = 30, **headers: str
    ) -> httpx.Response:
        """Schedules a job and waits for its end so many seconds (None: as the server likes)."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if wait is not None:
            named["prefer"] = f"wait={wait}"
        body = {"benchmark_config": config or model()}
        return self.http.post(f"{self.path}/jobs", json=body, headers=named)

    def job(self, config: dict[str, Any] | None = None, wait: int = 30) -> str:
        """The id of a new job, ended unless `wait` is too short."""
        answer = self.run(config, wait)
        assert answer.status_code == 200, answer.text
        if wait:
            assert answer.json()["status"] in ENDED, answer.text
        return str(answer.json()["job_id"])

    def get(self, job_id: str, suffix: str = "", **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.get(f"{self.path}/jobs/{job_id}{suffix}", headers=named)

    def status(self, job_id: str) -> str:
        answer = self.get(job_id)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["status"])

    def outcome(self, job_id: str) -> dict[str, Any]:
        answer = self.get(job_id, "/outcome")
        assert answer.status_code == 200, answer.text
        outcome: dict[str, Any] = answer.json()
        assert answer.headers["x-job-status"] == outcome["status"]
        return outcome

    def result(self, job_id: str) -> dict[str, Any]:
        answer = self.get(job_id, "/result")
        assert answer.status_code == 200, answer.text
        result: dict[str, Any] = answer.json()
        return result

    def events(self, job_id: str, **headers: str) -> list[tuple[str, dict[str, Any]]]:
        """The frames of a job's progress, to its end: id and payload."""
        answer = self.get(job_id, "/events", **headers)
        assert answer.status_code == 200, answer.text
        return [(frame.id, frame.value["event"]) for frame in parse(answer.content)]

    @contextmanager
    def following(self, job_id: str) -> Iterator[Iterator[dict[str, Any]]]:
        """The payloads of the job's progress as they come."""
        with self.http.stream("GET", f"{self.path}/jobs/{job_id}/events") as answer:
            assert answer.status_code == 200
            lines = (line for line in answer.iter_lines() if line.startswith("data: "))
            yield (json.loads(line[6:])["event"] for line in lines)

    def cancel(self, job_id: str) -> httpx.Response:
        return self.http.delete(f"{self.path}/jobs/{job_id}")

    def evaluate(
        self,
        rows: list[Any],
        config: dict[str, Any] | None = None,
        functions: list[str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        body = {
            "input_rows": rows,
            "scoring_functions": [EQUALITY] if functions is None else functions,
            "benchmark_config": config or model(),
        }
        return self.http.post(f"{self.path}/evaluations", json=body, headers=headers)

    def compare(self, a: str, b: str, **query: Any) -> httpx.Response:
        return self.http.get(f"{self.path}/compare", params={"a": a, "b": b, **query})

    def until(self, job_id: str, done: int, timeout_s: float = 60.0) -> None:
        """Returns when so many rows are done."""
        wait_until(lambda: self.outcome(job_id)["num_done"] >= done, timeout_s)

    def ended(self, job_id: str, timeout_s: float = 60.0) -> dict[str, Any]:
        """The outcome, once there is one."""
        wait_until(lambda: self.status(job_id) in ENDED, timeout_s)
        return self.outcome(job_id)
