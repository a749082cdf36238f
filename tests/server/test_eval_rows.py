"""Rows of jobs: what the model gets, what is tried again, what fails and how that counts."""

from __future__ import annotations

import re
import time
from typing import Any

import httpx
import pytest

from tests.server.api import check_error
from tests.server.evals import (
    ANSWER,
    EQUALITY,
    Benchmark,
    Evals,
    asked,
    model,
)
from tests.servers.processes import RunningServer


@pytest.fixture
def evals(client: httpx.Client, scripted: RunningServer) -> Evals:
    return Evals(client)


@pytest.fixture
def benchmark(evals: Evals) -> Benchmark:
    """Four rows, of which the model that says `The answer comes` gets two right."""
    return evals.registered()


def test_the_model_gets_what_the_candidate_and_the_row_say(evals: Evals, scripted: RunningServer) -> None:
    spoken = [
        {"role": "system", "content": "From the row."},
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": "Two"},
        {"role": "user", "content": [{"type": "text", "text": "Three"}]},
    ]
    benchmark = evals.registered([{"messages": spoken, "answer": "x"}])
    config = model()
    config["eval_candidate"] |= {
        "sampling_params": {"strategy": {"type": "top_p", "temperature": 0.5, "top_p": 0.9}, "stop": ["."]},
        "system_message": {"role": "system", "content": [{"type": "text", "text": "From the candidate."}]},
    }
    benchmark.job(config)
    [request] = scripted.requests()
    assert request["body"]["messages"] == [
        {"role": "system", "content": "From the candidate.\nFrom the row."},
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": "Two"},
        {"role": "user", "content": "Three"},
    ]
    body = request["body"]
    assert (body["temperature"], body["top_p"], body["stop"]) == (0.5, 0.9, ["."])
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-9]", request["headers"]["traceparent"])


def test_images_in_rows_are_checked_and_never_handed_on_as_urls(
    evals: Evals, scripted: RunningServer
) -> None:
    def row(url: str) -> dict[str, Any]:
        part = {"type": "image_url", "image_url": {"url": url}}
        return {
            "messages": [{"role": "user", "content": [{"type": "text", "text": "?"}, part]}],
            "answer": "x",
        }

    pixel = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
    benchmark = evals.registered([row(pixel), row("http://127.0.0.1:1/x.png"), row("file:///etc/passwd")])
    benchmark.job()
    generations = benchmark.result("0")["generations"]
    assert [("error" in one) for one in generations] == [False, True, True]
    [request] = scripted.requests()
    assert request["body"]["messages"][0]["content"][1]["image_url"]["url"] == pixel


def test_a_failing_row_is_recorded_and_the_others_count(evals: Evals, scripted: RunningServer) -> None:
    """A model that refuses every third call: not the job's failure, and no row's average is raised by it."""
    benchmark = evals.registered(asked(9, ANSWER))
    scripted.queue(*["text;chunks=3", "text;chunks=3", "status;code=400;message=scripted"] * 3)
    assert benchmark.run().json()["status"] == "completed"
    result, outcome = benchmark.result("0"), benchmark.outcome("0")
    failed = [one for one in result["generations"] if "error" in one]
    assert len(failed) == outcome["num_failed"] == 3
    assert all(one["generated_answer"] == "" and "scripted" in one["error"] for one in failed)
    scores = result["scores"][EQUALITY]
    for generation, score in zip(result["generations"], scores["score_rows"], strict=True):
        assert ("error" in generation) == ("error" in score)
        assert score["score"] == 0 or "error" not in score
    assert scores["aggregated_results"]["accuracy"]["num_failed"] == 3
    assert scores["aggregated_results"]["accuracy"]["num_total"] == 9
    assert scripted.counts()["requests"] == 9, "a refused request was repeated"


def test_an_upstreams_fault_is_tried_again(evals: Evals, scripted: RunningServer) -> None:
    benchmark = evals.registered(asked(3, ANSWER))
    scripted.queue("status;code=500", "text;chunks=3", "cut;chunks=1", "error;chunks=1")
    assert benchmark.run().json()["status"] == "completed"
    assert benchmark.outcome("0")["num_failed"] == 0
    rows = [payload for _, payload in benchmark.events("0") if payload["event_type"] == "row_evaluated"]
    assert sum(row["attempts"] for row in rows) == 6
    assert [one["generated_answer"] for one in benchmark.result("0")["generations"]] == [ANSWER] * 3


def test_a_busy_model_server_is_given_the_time_it_asks_for(evals: Evals, scripted: RunningServer) -> None:
    benchmark = evals.registered(asked(1))
    scripted.queue("status;code=429;retry_after=1")
    began = time.monotonic()
    assert benchmark.run().json()["status"] == "completed"
    assert time.monotonic() - began >= 1.0


def test_a_job_whose_rows_all_fail_is_failed(
    evals: Evals, benchmark: Benchmark, scripted: RunningServer
) -> None:
    assert benchmark.run(model("scripted/status;code=400;message=not today")).json()["status"] == "failed"
    outcome = benchmark.outcome("0")
    assert outcome["num_failed"] == outcome["num_done"] == 4
    assert outcome["error"]["status"] == 400
    assert "All 4 rows failed" in outcome["error"]["detail"] and "not today" in outcome["error"]["detail"]
    answer = benchmark.get("0", "/result")
    assert answer.headers["x-job-status"] == "failed"
    accuracy = answer.json()["scores"][EQUALITY]["aggregated_results"]["accuracy"]
    assert accuracy == {"accuracy": 0.0, "num_correct": 0, "num_total": 4, "num_failed": 4}


def test_rows_that_fit_no_format_fail_by_themselves(evals: Evals) -> None:
    benchmark = evals.registered(
        [
            {"question": "?", "answer": ANSWER},
            {"nonsense": 1},
            {"question": "?"},
            {"messages": [], "answer": 1},
        ]
    )
    assert benchmark.run().json()["status"] == "completed"
    errors = [one.get("error", "") for one in benchmark.result("0")["generations"]]
    assert errors[0] == "" and "chat_completion_input" in errors[1]
    assert "expected answer" in errors[2] and "user message" in errors[3]


@pytest.mark.slow
def test_an_upstream_that_is_silent_fails_the_row_in_time(evals: Evals) -> None:
    benchmark = evals.registered(asked(1))
    answer = benchmark.run(model("impatient/silent"))
    assert answer.json()["status"] == "failed"
    assert benchmark.outcome("0")["error"]["status"] == 504


def test_a_judge_scores_the_answers(evals: Evals, scripted: RunningServer) -> None:
    judge = "llm-as-judge::base"
    params = {
        "type": "llm_as_judge",
        "judge_model": "scripted/say;text=Score: 4",
        "prompt_template": "{input_query}|{expected_answer}|{generated_answer}",
        "judge_score_regexes": [r"Score: (\d)"],
        "aggregation_functions": ["average", "categorical_count"],
    }
    benchmark = evals.registered(asked(2), [judge, EQUALITY])
    check_error(benchmark.run(), 400, judge, "judge_model")
    unknown = params | {"judge_model": "no one/knows"}
    check_error(benchmark.run(model(scoring_params={judge: unknown})), 400, "no one/knows")
    assert benchmark.run(model(scoring_params={judge: params})).json()["status"] == "completed"
    scores = benchmark.result("0")["scores"][judge]
    assert [(one["score"], one["judge_feedback"]) for one in scores["score_rows"]] == [(4, "Score: 4")] * 2
    assert scores["aggregated_results"]["average"] == {"average": 4.0}
    assert any(
        request["body"]["messages"][-1]["content"] == f"Question 0?|{ANSWER}|{ANSWER}"
        for request in scripted.requests()
    )
    rubbish = params | {"judge_model": "scripted/say;text=no idea"}
    again = benchmark.job(model(scoring_params={judge: rubbish}))
    assert benchmark.status(again) == "completed", "the other function could score the rows"
    scores = benchmark.result(again)["scores"]
    assert all("error" in one for one in scores[judge]["score_rows"])
    assert scores[judge]["aggregated_results"]["average"] == {"average": 0.0, "num_failed": 2}
    assert scores[EQUALITY]["score_rows"] == [{"score": 1.0}, {"score": 0.0}]
