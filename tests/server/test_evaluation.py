"""Rows that are evaluated with the request that brings them."""

from __future__ import annotations

import threading
import time
from typing import Any

import httpx
import pytest

from tests.server.api import UUID, check_error
from tests.server.conftest import FreshServer
from tests.server.evals import ACCURACY, ANSWER, EQUALITY, Benchmark, Evals, asked, model
from tests.server.process import wait_until
from tests.servers.processes import RunningServer


@pytest.fixture
def benchmark(client: httpx.Client, scripted: RunningServer) -> Benchmark:
    return Evals(client).registered()


def test_rows_are_evaluated_in_their_order(benchmark: Benchmark) -> None:
    answer = benchmark.evaluate(asked(5))
    assert answer.json() == {
        "generations": [{"generated_answer": ANSWER}] * 5,
        "scores": {
            EQUALITY: {
                "score_rows": [{"score": score} for score in (1.0, 0.0, 1.0, 0.0, 1.0)],
                "aggregated_results": {"accuracy": {"accuracy": 0.6, "num_correct": 3, "num_total": 5}},
            }
        },
    }
    assert "x-dataset-version" not in answer.headers


def test_what_they_gave_is_recorded_like_a_job(benchmark: Benchmark) -> None:
    job_id = benchmark.evaluate(asked(3)).headers["x-job-id"]
    assert UUID.fullmatch(job_id)
    assert benchmark.outcome(job_id)["num_done"] == 3
    assert len(benchmark.events(job_id)) == 6
    assert benchmark.job() == "0", "rows that came with a request took a number"


@pytest.mark.parametrize(
    ("functions", "params"),
    [
        ([], {}),
        (["basic::subset_of", EQUALITY], {}),
        ([EQUALITY], {EQUALITY: ACCURACY | {"aggregation_functions": ["median", "average"]}}),
    ],
)
def test_functions_and_their_parameters_are_those_of_the_request(
    benchmark: Benchmark, functions: list[str], params: dict[str, Any]
) -> None:
    scores = benchmark.evaluate(asked(2), model(scoring_params=params), functions).json()["scores"]
    assert list(scores) == functions
    if params:
        assert set(scores[EQUALITY]["aggregated_results"]) == {"median", "average"}
    again = benchmark.evaluate(asked(2)).json()["scores"][EQUALITY]["aggregated_results"]
    assert set(again) == {"accuracy"}, "parameters of another request are still there"


@pytest.mark.parametrize(
    ("rows", "mentions"),
    [
        ([{"nonsense": 1}], ["input_rows[0]", "chat_completion_input"]),
        ([*asked(2), {"question": "?"}], ["input_rows[2]", "expected_answer"]),
        (
            [{"chat_completion_input": "not json", "expected_answer": "x"}],
            ["input_rows[0]", "chat_completion_input"],
        ),
        ([1], ["input_rows[0]", "object"]),
        ([[]], ["input_rows[0]", "object"]),
        ([None], ["input_rows[0]", "object"]),
        ("rows", ["input_rows"]),
        ([], ["input_rows"]),
    ],
)
def test_rows_that_fit_no_format_are_refused(benchmark: Benchmark, rows: Any, mentions: list[str]) -> None:
    check_error(benchmark.evaluate(rows), 400, *mentions)


def test_too_many_rows_are_refused_with_the_limit(benchmark: Benchmark) -> None:
    check_error(benchmark.evaluate(asked(1001)), 413, "1001", "1000", "eval_max_rows")


def test_too_large_rows_are_refused_with_the_limit(fresh_server: FreshServer) -> None:
    with fresh_server().http() as http:
        benchmark = Evals(http).registered()
        rows = [{"question": "x" * 500_000, "answer": "x"} for _ in range(9)]
        check_error(benchmark.evaluate(rows), 413, "4194304", "dataset")
        many = benchmark.evaluate([{"question": "?", "answer": n} for n in range(300_000)])
        check_error(many, 413, "300000", "1000")


def test_it_ends_with_its_benchmark(client: httpx.Client, scripted: RunningServer) -> None:
    benchmark = Evals(client).registered()
    answers: list[httpx.Response] = []
    silent = model("scripted/silent")
    thread = threading.Thread(target=lambda: answers.append(benchmark.evaluate(asked(2), silent)))
    thread.start()
    wait_until(lambda: scripted.counts()["requests"] == 2)
    assert benchmark.evals.unregister(benchmark.name).status_code == 200
    thread.join(10)
    check_error(answers[0], 409, "cancelled", "unregistered")


def test_unknown_functions_are_refused(benchmark: Benchmark) -> None:
    check_error(benchmark.evaluate(asked(1), functions=["basic::equalitee"]), 400, "basic::equality")
    check_error(Benchmark(benchmark.evals, "no one").evaluate(asked(1)), 404, "no one")


def test_num_examples_bounds_the_rows(benchmark: Benchmark) -> None:
    assert len(benchmark.evaluate(asked(5), model(num_examples=2)).json()["generations"]) == 2


def test_one_row_of_many_may_fail(benchmark: Benchmark, scripted: RunningServer) -> None:
    scripted.queue("status;code=400;message=scripted")
    result = benchmark.evaluate(asked(4)).json()
    assert ["error" in one for one in result["generations"]].count(True) == 1
    assert result["scores"][EQUALITY]["aggregated_results"]["accuracy"]["num_failed"] == 1


@pytest.mark.parametrize(("code", "status"), [(400, 400), (500, 502), (401, 502)])
def test_where_every_row_fails_each_says_why(benchmark: Benchmark, code: int, status: int) -> None:
    """Existing clients send their rows one by one, and continue after one that failed."""
    answer = benchmark.evaluate(asked(1), model(f"scripted/status;code={code};message=scripted"))
    assert (answer.status_code, answer.headers["x-job-status"]) == (200, "failed")
    [generation] = answer.json()["generations"]
    [score] = answer.json()["scores"][EQUALITY]["score_rows"]
    assert generation["generated_answer"] == "" and score == {"score": 0, "error": generation["error"]}
    assert benchmark.outcome(answer.headers["x-job-id"])["error"]["status"] == status


def test_a_repeated_request_joins_the_first(benchmark: Benchmark, scripted: RunningServer) -> None:
    slow, same = model("scripted/text;chunks=3;first_ms=300"), {"idempotency-key": "evaluated once"}
    answers: list[httpx.Response] = []
    threads = [
        threading.Thread(target=lambda: answers.append(benchmark.evaluate(asked(3), slow, headers=same)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len({answer.content for answer in answers}) == 1
    assert len({answer.headers["x-job-id"] for answer in answers}) == 1
    assert scripted.counts()["requests"] == 3
    check_error(benchmark.evaluate(asked(2), slow, headers=same), 409, "Idempotency-Key")
    first = benchmark.evaluate(asked(2))
    retried = benchmark.evaluate(asked(2), headers={"x-stainless-retry-count": "2"})
    assert retried.headers["x-job-id"] == first.headers["x-job-id"]


def test_it_goes_on_when_its_caller_leaves(benchmark: Benchmark, scripted: RunningServer) -> None:
    slow, same = model("scripted/text;chunks=3;first_ms=500"), {"idempotency-key": "left"}
    impatient = httpx.Client(base_url=benchmark.http.base_url, trust_env=False, timeout=0.2)
    with impatient, pytest.raises(httpx.TimeoutException):
        Benchmark(Evals(impatient), benchmark.name).evaluate(asked(3), slow, headers=same)
    answer = benchmark.evaluate(asked(3), slow, headers=same)
    assert len(answer.json()["generations"]) == 3
    assert scripted.counts()["requests"] == 3


@pytest.mark.slow
def test_it_survives_a_restart(fresh_server: FreshServer, scripted: RunningServer) -> None:
    server = fresh_server(shutdown_grace_s=0)
    slow, same = model("scripted/text;chunks=3;first_ms=400"), {"idempotency-key": "survives"}
    with server.http() as http:
        benchmark = Evals(http).registered(name="kept")
        answers: list[httpx.Response] = []
        thread = threading.Thread(
            target=lambda: answers.append(benchmark.evaluate(asked(12), slow, headers=same))
        )
        thread.start()
        wait_until(lambda: scripted.counts()["requests"] >= 9)
        time.sleep(0.05)
        server.stop()
        thread.join(10)
    check_error(answers[0], 503)
    server.start()
    with server.http() as http:
        answer = Benchmark(Evals(http), "kept").evaluate(asked(12), slow, headers=same)
    assert [one["generated_answer"] for one in answer.json()["generations"]] == [ANSWER] * 12
    assert scripted.counts()["requests"] <= 12 + 8, "rows that were done were done again"


def test_large_rows_are_scored_like_small_ones(benchmark: Benchmark) -> None:
    rows = [{"question": "x" * 200_000, "answer": ANSWER, "more": [1] * 20_000} for _ in range(3)]
    answer = benchmark.evaluate(rows, model("scripted/text;chunks=3"))
    assert [one["score"] for one in answer.json()["scores"][EQUALITY]["score_rows"]] == [1.0] * 3


def test_a_long_answer_comes_back_whole(benchmark: Benchmark) -> None:
    """Longer than what an event holds: it is stored outside of the log."""
    row = {"question": "é$blob" * 60_000, "answer": "x"}
    answer = benchmark.evaluate([row], model("scripted/echo"))
    [generation] = answer.json()["generations"]
    assert row["question"] in generation["generated_answer"]
    job_id = answer.headers["x-job-id"]
    assert benchmark.result(job_id)["generations"] == [generation]
    [scored] = [
        payload for _, payload in benchmark.events(job_id) if payload["event_type"] == "row_evaluated"
    ]
    assert scored["generation"] == generation
