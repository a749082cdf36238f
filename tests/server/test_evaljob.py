"""Evaluation jobs over HTTP: scheduled, followed, cancelled, read."""

from __future__ import annotations

import threading
import time
from typing import Any

import httpx
import pytest

from tests.server.api import TIME, check_error
from tests.server.conftest import FreshServer
from tests.server.evals import (
    ACCURACY,
    ANSWER,
    ANSWERS,
    ENDED,
    EQUALITY,
    Benchmark,
    Evals,
    agent,
    asked,
    model,
)
from tests.server.process import wait_until
from tests.servers.processes import RunningServer

SLOW = "scripted/text;chunks=3;first_ms=150"
NEVER = "scripted/silent"


@pytest.fixture
def evals(client: httpx.Client, scripted: RunningServer) -> Evals:
    return Evals(client)


@pytest.fixture
def benchmark(evals: Evals) -> Benchmark:
    """Four rows, of which the model that says `The answer comes` gets two right."""
    return evals.registered()


def test_a_job_evaluates_every_row(benchmark: Benchmark) -> None:
    answer = benchmark.run()
    assert answer.json() == {"job_id": "0", "status": "completed"}
    result = benchmark.result("0")
    assert result == {
        "generations": [{"generated_answer": ANSWER}] * 4,
        "scores": {
            EQUALITY: {
                "score_rows": [{"score": score} for score in (1.0, 0.0, 1.0, 0.0)],
                "aggregated_results": {"accuracy": {"accuracy": 0.5, "num_correct": 2, "num_total": 4}},
            }
        },
    }
    outcome = benchmark.outcome("0")
    assert TIME.fullmatch(outcome.pop("created_at")) and TIME.fullmatch(outcome.pop("completed_at"))
    assert outcome.pop("usage")["output_tokens"] == 12
    assert outcome == {
        "job_id": "0",
        "status": "completed",
        "num_rows": 4,
        "num_done": 4,
        "num_failed": 0,
        "dataset_id": benchmark.dataset_id,
        "dataset_version": 1,
    }
    headers = benchmark.get("0", "/result").headers
    assert (headers["x-dataset-version"], headers["x-job-status"]) == ("1", "completed")


def test_jobs_are_numbered_within_their_benchmark(evals: Evals, benchmark: Benchmark) -> None:
    other = evals.registered()
    assert [benchmark.job(), other.job(), benchmark.job(), other.job()] == ["0", "0", "1", "1"]
    benchmark.job()
    check_error(other.get("2"), 404, "'2'")
    for suffix in ("/result", "/outcome", "/events"):
        check_error(other.get("2", suffix), 404, "'2'")
    check_error(other.cancel("2"), 404)
    for strange in ("00", "-1", "x", "1.0", "9" * 400, "²"):
        check_error(benchmark.get(strange), 404)
    listed = benchmark.http.get(f"{benchmark.path}/jobs", params={"start_index": 1, "limit": 1}).json()
    assert listed["data"] == [{"job_id": "1", "status": "completed"}]
    assert listed["has_more"] is True
    assert listed["url"] == f"{benchmark.path}/jobs"


def test_a_job_runs_with_the_dataset_as_it_was(evals: Evals, benchmark: Benchmark) -> None:
    evals.datasets.append(benchmark.dataset_id, asked(3))
    slow = benchmark.job(model(SLOW), wait=0)
    evals.datasets.append(benchmark.dataset_id, asked(5))
    assert benchmark.ended(slow)["num_rows"] == 7
    later = benchmark.job()
    assert [benchmark.outcome(job)["dataset_version"] for job in (slow, later)] == [2, 3]
    assert [len(benchmark.result(job)["generations"]) for job in (slow, later)] == [7, 12]


@pytest.mark.parametrize(("wanted", "rows"), [(1, 1), (3, 3), (99, 4), (None, 4)])
def test_num_examples_bounds_the_rows(benchmark: Benchmark, wanted: int | None, rows: int) -> None:
    benchmark.job(model(num_examples=wanted))
    assert len(benchmark.result("0")["generations"]) == rows


@pytest.mark.parametrize(
    ("config", "mentions"),
    [
        ({}, ["eval_candidate"]),
        (model(num_examples=0), ["num_examples", "0"]),
        (model(num_examples=-3), ["num_examples", "-3"]),
        (model("no one/knows"), ["no one/knows"]),
        (model(type="app"), ["type"]),
        (model(nonsense=1), ["nonsense"]),
        (model(scoring_params={"basic::nothing": ACCURACY}), ["basic::nothing"]),
        (model(scoring_params={EQUALITY: ACCURACY | {"aggregation_functions": ["mode"]}}), ["mode"]),
        ({"eval_candidate": {"type": "human"}}, ["eval_candidate"]),
        ({"eval_candidate": {"type": "model", "model": ANSWERS}}, ["sampling_params"]),
        (
            {
                "eval_candidate": {
                    "type": "model",
                    "model": ANSWERS,
                    "sampling_params": {"strategy": {"type": "top_p", "top_p": 3}},
                }
            },
            ["benchmark_config.eval_candidate.sampling_params", "top_p"],
        ),
        (agent("no one/knows"), ["no one/knows"]),
        (agent(toolgroups=["no such"]), ["benchmark_config.eval_candidate.config.toolgroups", "no such"]),
        (agent(max_infer_iters=0), ["benchmark_config.eval_candidate.config.max_infer_iters"]),
    ],
)
def test_bad_configurations_say_what_is_wrong(
    benchmark: Benchmark, config: dict[str, Any], mentions: list[str]
) -> None:
    body = {"benchmark_config": config}
    check_error(benchmark.http.post(f"{benchmark.path}/jobs", json=body), 400, *mentions)
    if config:
        check_error(benchmark.evaluate(asked(1), config), 400, *mentions)
    assert benchmark.http.get(f"{benchmark.path}/jobs").json()["data"] == []


def test_what_only_older_clients_say_is_taken(benchmark: Benchmark) -> None:
    flat = {"temperature": 0.5, "max_tokens": 7, "repeat_penalty": 1.0}
    candidate = {"type": "model", "model": ANSWERS, "sampling_params": flat, "system_message": None}
    config = {"type": "benchmark", "eval_candidate": candidate, "scoring_params": {}, "num_examples": None}
    assert benchmark.run(config).json()["status"] == "completed"


def test_an_empty_dataset_is_nothing_to_evaluate(evals: Evals) -> None:
    empty = evals.registered([])
    check_error(empty.run(), 400, "no rows")
    check_error(empty.evaluate([]), 400, "input_rows")


@pytest.mark.slow
def test_the_answer_waits_as_long_as_it_is_asked_to(benchmark: Benchmark) -> None:
    began = time.monotonic()
    answer = benchmark.run(model(NEVER), wait=0)
    assert time.monotonic() - began < 20.0
    assert answer.json()["status"] in ("scheduled", "in_progress")
    assert answer.headers["preference-applied"] == "wait=0"
    began = time.monotonic()
    answer = benchmark.run(model(NEVER), wait=None)
    assert 1.8 < time.monotonic() - began < 20.0
    assert "preference-applied" not in answer.headers
    answer = benchmark.run(model(NEVER), wait=None, prefer="respond-async")
    assert answer.headers["preference-applied"] == "respond-async"
    assert benchmark.run(wait=30).json()["status"] == "completed"
    for job_id in ("0", "1", "2"):
        benchmark.cancel(job_id)


def test_a_result_waits_for_its_job(benchmark: Benchmark) -> None:
    job_id = benchmark.job(model("scripted/text;chunks=3;first_ms=700"), wait=0)
    began = time.monotonic()
    result = benchmark.result(job_id)
    assert time.monotonic() - began > 0.3
    assert len(result["generations"]) == 4


def test_cancelling_ends_a_job_before_its_rows_are_done(evals: Evals, scripted: RunningServer) -> None:
    benchmark = evals.registered(asked(100))
    job_id = benchmark.job(model("scripted/text;chunks=3;gap_ms=100"), wait=0)
    benchmark.until(job_id, 8)
    began = time.monotonic()
    answer = benchmark.cancel(job_id)
    assert time.monotonic() - began < 20.0
    assert (answer.status_code, answer.content) == (200, b"")
    outcome = benchmark.outcome(job_id)
    assert outcome["status"] == "cancelled" and 8 <= outcome["num_done"] < 100
    for _ in range(2):
        assert benchmark.cancel(job_id).status_code == 200
    assert benchmark.outcome(job_id) == outcome
    kinds = [payload["event_type"] for _, payload in benchmark.events(job_id)]
    assert kinds[-2:] == ["cancel_requested", "cancelled"]
    assert wait_until(lambda: scripted.counts()["disconnects"]), "the model server was left working"
    result = benchmark.result(job_id)
    done = [one for one in result["generations"] if "error" not in one]
    assert len(done) == outcome["num_done"], "what was done is kept, at its place"
    assert result["scores"][EQUALITY]["aggregated_results"]["accuracy"]["num_total"] == outcome["num_done"]


def test_a_job_that_hangs_is_cancelled(benchmark: Benchmark) -> None:
    job_id = benchmark.job(model(NEVER), wait=0)
    wait_until(lambda: benchmark.status(job_id) == "in_progress")
    began = time.monotonic()
    benchmark.cancel(job_id)
    assert time.monotonic() - began < 20.0
    assert benchmark.status(job_id) == "cancelled"


def test_an_ended_job_is_not_changed_by_a_cancel(benchmark: Benchmark) -> None:
    benchmark.job()
    assert benchmark.cancel("0").status_code == 200
    assert benchmark.status("0") == "completed"
    check_error(benchmark.cancel("1"), 404)


def test_only_so_many_jobs_run_at_once(fresh_server: FreshServer) -> None:
    server = fresh_server(eval_running_jobs=1)
    with server.http() as http:
        benchmark = Evals(http).registered()
        first = benchmark.job(model(NEVER), wait=0)
        others = [benchmark.job(wait=0) for _ in range(3)]
        wait_until(lambda: benchmark.status(first) == "in_progress")
        assert [benchmark.status(job) for job in others] == ["scheduled"] * 3
        assert benchmark.evaluate(asked(1)).status_code == 200, "rows with a request waited behind jobs"
        benchmark.cancel(others[1])
        assert [benchmark.status(job) for job in others] == ["scheduled", "cancelled", "scheduled"]
        benchmark.cancel(first)
        for job, status in zip(others, ("completed", "cancelled", "completed"), strict=True):
            assert benchmark.ended(job)["status"] == status


def test_progress_is_streamed_as_it_comes(evals: Evals) -> None:
    benchmark = evals.registered(asked(6))
    job_id = benchmark.job(model(SLOW), wait=0)
    with benchmark.following(job_id) as payloads:
        first = [next(payloads)["event_type"] for _ in range(3)]
        assert first == ["scheduled", "started", "row_evaluated"]
        rest = list(payloads)
    assert [one["event_type"] for one in rest] == ["row_evaluated"] * 5 + ["completed"]
    assert rest[-1]["aggregated_results"] == {
        EQUALITY: benchmark.result(job_id)["scores"][EQUALITY]["aggregated_results"]
    }


def test_a_stream_goes_on_behind_the_last_frame_seen(benchmark: Benchmark) -> None:
    job_id = benchmark.job()
    frames = benchmark.events(job_id)
    assert [frame_id for frame_id, _ in frames] == [f"{version}.0" for version in range(1, 8)]
    for seen in range(len(frames) - 1):
        assert benchmark.events(job_id, last_event_id=frames[seen][0]) == frames[seen + 1 :]
    assert benchmark.get(job_id, "/events", last_event_id=frames[-1][0]).status_code == 204
    check_error(benchmark.get(job_id, "/events", last_event_id="x"), 400, "Last-Event-ID")


def test_a_silent_stream_is_kept_alive(benchmark: Benchmark) -> None:
    job_id = benchmark.job(model(NEVER), wait=0)
    with benchmark.http.stream("GET", f"{benchmark.path}/jobs/{job_id}/events") as answer:
        seen = b""
        for piece in answer.iter_raw():
            seen += piece
            if seen.endswith(b": \n: \n"):
                break
        assert b"\n: \n\n" not in seen
    benchmark.cancel(job_id)


def test_many_read_one_job(evals: Evals) -> None:
    benchmark = evals.registered(asked(60))
    job_id = benchmark.job(model("scripted/text;chunks=3;first_ms=20"), wait=0)
    read: list[Any] = []
    threads = [threading.Thread(target=lambda: read.append(benchmark.events(job_id))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(read) == 6
    assert all(one == benchmark.events(job_id) for one in read)
    assert sorted(p["row"] for _, p in read[0] if p["event_type"] == "row_evaluated") == list(range(60))


@pytest.mark.slow
def test_a_dataset_that_goes_away_fails_its_job(evals: Evals) -> None:
    benchmark = evals.registered(asked(200))
    job_id = benchmark.job(model("scripted/text;chunks=3;first_ms=30"), wait=0)
    benchmark.until(job_id, 8)
    assert evals.datasets.unregister(benchmark.dataset_id).status_code == 200
    # The same id with other rows is another dataset.
    evals.datasets.registered(asked(200), dataset_id=benchmark.dataset_id)
    outcome = benchmark.ended(job_id)
    assert outcome["status"] == "failed" and outcome["error"]["status"] == 404
    assert benchmark.dataset_id in outcome["error"]["detail"]
    assert 8 <= outcome["num_done"] < 200
    done = [one for one in benchmark.result(job_id)["generations"] if "error" not in one]
    assert len(done) == outcome["num_done"]
    assert benchmark.run(model(ANSWERS)).json()["status"] == "completed"


def test_a_repeated_request_joins_the_first_job(benchmark: Benchmark) -> None:
    body = {"benchmark_config": model()}
    path, same = f"{benchmark.path}/jobs", {"idempotency-key": "one job"}
    answers = [benchmark.http.post(path, json=body, headers=same).json()["job_id"] for _ in range(3)]
    assert answers == ["0", "0", "0"]
    other = {"benchmark_config": model(num_examples=1)}
    check_error(benchmark.http.post(path, json=other, headers=same), 409, "Idempotency-Key")
    retried = {"x-stainless-retry-count": "1"}
    assert benchmark.http.post(path, json=body).json()["job_id"] == "1"
    assert benchmark.http.post(path, json=body, headers=retried).json()["job_id"] == "1"
    assert len(benchmark.http.get(path).json()["data"]) == 2


def test_a_job_is_shown_as_the_contract_has_it(benchmark: Benchmark) -> None:
    answer = benchmark.run(wait=0)
    assert set(answer.json()) == {"job_id", "status"}
    assert answer.json()["status"] in ("scheduled", "in_progress", *ENDED)
    benchmark.ended("0")
