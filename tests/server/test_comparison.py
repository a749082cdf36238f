"""Two jobs of a benchmark compared."""

from __future__ import annotations

import httpx
import pytest

from tests.server.api import check_error
from tests.server.evals import ANSWER, ANSWERS, EQUALITY, Evals, agent, asked, model
from tests.servers.processes import RunningServer

SHORTER = "scripted/text;chunks=2"
"""Says `The answer`."""


@pytest.fixture
def evals(client: httpx.Client, scripted: RunningServer) -> Evals:
    return Evals(client)


def test_rows_that_got_better_worse_or_changed(evals: Evals) -> None:
    rows = [
        {"question": "a", "answer": ANSWER},
        {"question": "b", "answer": "The answer"},
        {"question": "c", "answer": "neither"},
        {"question": "d", "answer": ANSWER},
    ]
    benchmark = evals.registered(rows)
    a, b = benchmark.job(), benchmark.job(model(SHORTER))
    found = benchmark.compare(a, b).json()
    assert (found["compared"], found["other_input"], found["only_a"], found["only_b"]) == (4, 0, 0, 0)
    assert found["a"]["candidate"]["model"] == ANSWERS and found["b"]["candidate"]["model"] == SHORTER
    assert found["a"]["dataset_version"] == 1 and found["a"]["status"] == "completed"
    of = found["scoring_functions"][EQUALITY]
    assert (of["better"], of["worse"], of["changed"], of["same"]) == (1, 2, 1, 0)
    assert [(one["row"], one["change"]) for one in of["rows"]] == [
        (0, "worse"),
        (3, "worse"),
        (1, "better"),
        (2, "changed"),
    ]
    assert of["rows"][0] == {
        "row": 0,
        "change": "worse",
        "a": {"score": 1.0},
        "b": {"score": 0.0},
        "answer_a": ANSWER,
        "answer_b": "The answer",
    }
    scores = of["scores"]
    assert (scores["mean_a"], scores["mean_b"], scores["difference"]) == (0.5, 0.25, -0.25)
    assert scores["method"] == "newcombe" and scores["interval"]["confidence"] == 0.95
    assert scores["interval"]["low"] < -0.25 < scores["interval"]["high"]
    back = benchmark.compare(b, a).json()["scoring_functions"][EQUALITY]
    assert (back["better"], back["worse"], back["scores"]["difference"]) == (2, 1, 0.25)


def test_a_job_and_itself_are_the_same(evals: Evals) -> None:
    benchmark = evals.registered(asked(10))
    job_id = benchmark.job()
    of = benchmark.compare(job_id, job_id).json()["scoring_functions"][EQUALITY]
    assert (of["better"], of["worse"], of["changed"], of["same"]) == (0, 0, 0, 10)
    assert of["scores"]["difference"] == 0 and of["rows"] == [] and of["has_more"] is False


def test_the_rows_shown_are_bounded(evals: Evals) -> None:
    benchmark = evals.registered(asked(10, ANSWER))
    a, b = benchmark.job(), benchmark.job(model(SHORTER))
    of = benchmark.compare(a, b, limit=3).json()["scoring_functions"][EQUALITY]
    assert len(of["rows"]) == 3 and of["has_more"] is True
    assert benchmark.compare(a, b, limit=0).json()["scoring_functions"][EQUALITY]["rows"] == []
    for limit in ("-1", "x", "10001"):
        check_error(benchmark.compare(a, b, limit=limit), 400, "limit")


@pytest.mark.slow
def test_failed_rows_count_as_0_and_scores_beyond_0_and_1_have_a_t_interval(
    evals: Evals, scripted: RunningServer
) -> None:
    """`basic::ifeval` gives a part of 1 for each instruction that is followed, and needs no expected answer."""
    follow = {
        "instruction_id_list": ["length_constraints:number_words", "change_case:english_lowercase"],
        "kwargs": [{"relation": "at least", "num_words": 3}, {}],
    }
    benchmark = evals.registered([{"question": f"{n}"} | follow for n in range(6)], ["basic::ifeval"])
    a, b = benchmark.job(), benchmark.job(model(SHORTER))
    scripted.queue("status;code=400")
    c = benchmark.job()
    of = benchmark.compare(a, b).json()["scoring_functions"]["basic::ifeval"]
    assert of["worse"] == 6
    assert of["scores"] == {
        "num_rows": 6,
        "mean_a": 0.5,
        "mean_b": 0.0,
        "difference": -0.5,
        "interval": {"low": -0.5, "high": -0.5, "confidence": 0.95},
        "method": "paired-t",
    }
    of = benchmark.compare(a, c).json()["scoring_functions"]["basic::ifeval"]
    assert (of["worse"], of["same"]) == (1, 5)
    assert "error" in of["rows"][0]["b"] and of["rows"][0]["answer_b"] == ""
    assert of["scores"]["interval"]["low"] < of["scores"]["difference"] == pytest.approx(-0.5 / 6)


def test_versions_of_a_dataset_are_compared_where_they_agree(evals: Evals) -> None:
    benchmark = evals.registered(asked(4))
    a = benchmark.job()
    evals.datasets.append(benchmark.dataset_id, asked(2))
    b = benchmark.job(model(SHORTER))
    found = benchmark.compare(a, b).json()
    assert (found["compared"], found["only_a"], found["only_b"]) == (4, 0, 2)
    evals.datasets.unregister(benchmark.dataset_id)
    again = [*asked(3), {"question": "Another?", "answer": "no"}]
    evals.datasets.registered(again, dataset_id=benchmark.dataset_id)
    c = benchmark.job()
    found = benchmark.compare(a, c).json()
    assert (found["compared"], found["other_input"]) == (3, 1)


def test_an_agent_and_a_model_are_compared(evals: Evals) -> None:
    benchmark = evals.registered()
    a, b = benchmark.job(), benchmark.job(agent())
    found = benchmark.compare(a, b).json()
    assert found["b"]["candidate"]["type"] == "agent"
    assert found["scoring_functions"][EQUALITY]["same"] == 4


def test_rows_that_came_with_requests_are_compared_too(evals: Evals) -> None:
    benchmark = evals.registered()
    one, other = (benchmark.evaluate(asked(4), model(name)) for name in (ANSWERS, SHORTER))
    found = benchmark.compare(one.headers["x-job-id"], other.headers["x-job-id"]).json()
    assert found["scoring_functions"][EQUALITY]["worse"] == 2
    assert "dataset_id" not in found["a"]


def test_bad_questions_are_refused(evals: Evals) -> None:
    benchmark = evals.registered()
    job_id = benchmark.job()
    check_error(benchmark.http.get(f"{benchmark.path}/compare"), 400, "a is missing")
    check_error(benchmark.http.get(f"{benchmark.path}/compare?a=0"), 400, "b is missing")
    check_error(benchmark.compare(job_id, "7"), 404, "'7'")
    running = benchmark.job(model("scripted/silent"), wait=0)
    check_error(benchmark.compare(job_id, running), 409, "ended")
    benchmark.cancel(running)
    unscored = benchmark.evaluate(asked(1), functions=[]).headers["x-job-id"]
    check_error(benchmark.compare(job_id, unscored), 400, "no scoring function in common")
