"""Scoring with llama-stack-client of both series."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.interpreters import clients
from tests.server.process import Replaystack

JUDGES = ("scripted/echo", "scripted/say;text=B", "llama/tiny-random")


@pytest.fixture(scope="module", params=[*clients("0.2"), *clients("0.3")], ids=lambda client: client.version)
def found(request: pytest.FixtureRequest, server: Replaystack) -> dict[str, Any]:
    findings: dict[str, Any] = request.param.run("scoring", server.url, *JUDGES)
    return findings


def test_all_functions_are_listed_in_the_form_that_clients_read(found: dict[str, Any]) -> None:
    assert len(found["listed"]) == 9 and all(found["retrieved"])
    providers = ["basic"] * 7 + ["llm-as-judge"] * 2
    types = ["basic", "basic", "regex_parser", "regex_parser", "basic", "basic", "basic"]
    expected = zip(providers, [*types, "llm_as_judge", "llm_as_judge"], strict=True)
    assert found["typed"] == [
        [provider, "scoring_function", "number", kind, True] for provider, kind in expected
    ]


def test_rows_are_scored(found: dict[str, Any]) -> None:
    scores = found["scores"]
    equality = scores["basic::equality"]
    assert [row["score"] for row in equality["score_rows"]] == [1, 0, 1]
    third = pytest.approx(2 / 3)
    assert equality["aggregated_results"] == {
        "accuracy": {"accuracy": third, "num_correct": 2, "num_total": 3},
        "average": {"average": third},
        "median": {"median": 1},
    }
    assert [row["score"] for row in scores["basic::subset_of"]["score_rows"]] == [1, 0, 1]


def test_judges_judge(found: dict[str, Any]) -> None:
    simpleqa = found["scores"]["llm-as-judge::405b-simpleqa"]
    assert simpleqa["score_rows"] == [{"score": "B", "judge_feedback": "B"}] * 3
    assert simpleqa["aggregated_results"] == {"categorical_count": {"categorical_count": {"B": 3}}}
    base = found["scores"]["llm-as-judge::base"]
    assert [row["score"] for row in base["score_rows"]] == [2, 3, 2]
    assert base["aggregated_results"]["categorical_count"] == {"categorical_count": {"2": 2, "3": 1}}


def test_what_a_real_model_of_random_weights_says_is_no_grade(found: dict[str, Any]) -> None:
    (row,) = found["real"]
    assert row["score"] == 0 and "no grade" in row["error"]
    assert isinstance(row["judge_feedback"], str)


def test_a_dataset_is_scored_and_the_results_are_kept(found: dict[str, Any]) -> None:
    rows = found["batch"]["basic::equality"]["score_rows"]
    assert [row["score"] for row in rows] == [1, 0, 1]
    assert found["kept"] == rows


def test_what_cannot_be_scored_is_refused(found: dict[str, Any]) -> None:
    assert (found["refused"], found["unknown"]) == ([400, 400], 404)
