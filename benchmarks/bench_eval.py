"""Evaluation: 200 rows against a model that answers at once, as a job, with the request, and by an agent.

The model is the scripted one of the tests; its answer comes in three chunks with one write. Rows are scored by
`basic::equality`.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.client import Connection
from benchmarks.others import others
from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds, percentile
from benchmarks.servers import Server, model_server, replaystack

ROWS = 200
LARGE = 20_000
BENCHMARKS = "/v1alpha/eval/benchmarks"
MODEL = "openai/text;chunks=3;coalesce=1"
BAR_S = 0.2
OTHERS_BAR_MS = 30.0


def run(quick: bool) -> list[Result]:
    rounds = 3 if quick else 7
    with (
        model_server() as model,
        tempfile.TemporaryDirectory() as folder,
        replaystack(Path(folder) / "data", model.base_url) as server,
        Connection(server.port, 300.0) as connection,
    ):
        _register(connection, "small", ROWS)
        _register(connection, "large", LARGE)
        _job(connection, "small", _model())
        jobs_s, cpu_ms = _jobs(server, connection, rounds)
        rows = _rows(ROWS)
        at_once_s = [_seconds(lambda: _evaluate(connection, rows)) for _ in range(rounds)]
        agent_s = [_seconds(lambda: _job(connection, "small", _agent())) for _ in range(rounds)]
        with others(server.port) as others_ms:
            began = time.perf_counter()
            job_id = _job(connection, "large", _model())
            large_s = time.perf_counter() - began
        result_ms = [
            connection.get(f"{BENCHMARKS}/large/jobs/{job_id}/result").took_ms for _ in range(rounds)
        ]
    return [
        of_rounds("evaluation of 200 rows against an instant model, a job", jobs_s, "s", BAR_S),
        of_rounds("the same: server CPU per row", cpu_ms, "ms"),
        of_rounds("the same with the request", at_once_s, "s", BAR_S),
        of_rounds("the same by an agent: a session and a turn for each row", agent_s, "s"),
        Result(f"rows evaluated by a job of {LARGE:,} rows", LARGE / large_s, "rows/s", better="higher"),
        Result("another request meanwhile, p99", percentile(others_ms, 0.99), "ms", OTHERS_BAR_MS),
        Result("the same, worst", max(others_ms), "ms"),
        of_rounds(f"result of {LARGE:,} rows, p50", result_ms, "ms"),
    ]


def _jobs(server: Server, connection: Connection, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of a job, and milliseconds of processor time for each of its rows."""
    took_s, cpu_ms = [], []
    for _ in range(rounds):
        before = server.cpu_s()
        took_s.append(_seconds(lambda: _job(connection, "small", _model())))
        cpu_ms.append((server.cpu_s() - before) * 1000 / ROWS)
    return took_s, cpu_ms


def _rows(count: int) -> list[dict[str, str]]:
    return [{"question": f"Question {number}?", "answer": "The answer comes"} for number in range(count)]


def _register(connection: Connection, name: str, count: int) -> None:
    source = {"type": "rows", "rows": _rows(count)}
    dataset = {"purpose": "eval/question-answer", "dataset_id": name, "source": source}
    connection.post("/v1beta/datasets", dataset)
    scoring = {"scoring_functions": ["basic::equality"]}
    connection.post(BENCHMARKS, {"benchmark_id": name, "dataset_id": name} | scoring)


def _model() -> dict[str, Any]:
    return {
        "type": "model",
        "model": MODEL,
        "sampling_params": {"strategy": {"type": "greedy"}},
    }


def _agent() -> dict[str, Any]:
    return {"type": "agent", "config": {"model": MODEL, "instructions": "Answer."}}


def _job(connection: Connection, name: str, candidate: dict[str, Any]) -> str:
    """Runs a job to its end; returns its id. Raises RuntimeError unless all its rows were scored."""
    body = {"benchmark_config": {"eval_candidate": candidate}}
    job = msgspec.json.decode(connection.post(f"{BENCHMARKS}/{name}/jobs", body).body)
    path = f"{BENCHMARKS}/{name}/jobs/{job['job_id']}"
    while job["status"] in ("scheduled", "in_progress"):
        time.sleep(0.002)
        job = msgspec.json.decode(connection.get(path).body)
    outcome = msgspec.json.decode(connection.get(f"{path}/outcome").body)
    if outcome["status"] != "completed" or outcome["num_failed"]:
        raise RuntimeError(f"The job did not complete: {outcome}")
    return str(job["job_id"])


def _evaluate(connection: Connection, rows: list[dict[str, str]]) -> None:
    body = {
        "input_rows": rows,
        "scoring_functions": ["basic::equality"],
        "benchmark_config": {"eval_candidate": _model()},
    }
    answer = msgspec.json.decode(connection.post(f"{BENCHMARKS}/small/evaluations", body).body)
    accuracy = answer["scores"]["basic::equality"]["aggregated_results"]["accuracy"]
    if accuracy["num_correct"] != len(rows):
        raise RuntimeError(f"The rows were not scored: {accuracy}")


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    standalone(run, "eval", __doc__)
