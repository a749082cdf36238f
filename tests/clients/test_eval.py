"""Benchmarks and evaluation with llama-stack-client of both series, against a scripted and a real model server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.interpreters import clients
from tests.server.process import Replaystack

ANSWERS = ["The answer comes"] * 3
SCORES = {"basic::equality": [1.0, 0.0, 0.0], "basic::subset_of": [1.0, 1.0, 0.0]}


@pytest.fixture(scope="module", params=[*clients("0.2"), *clients("0.3")], ids=lambda client: client.version)
def found(request: pytest.FixtureRequest, server: Replaystack) -> dict[str, Any]:
    wanted = {
        "model": "scripted/text;chunks=3",
        "real_model": "llama/tiny-random",
        "silent_model": "scripted/silent",
    }
    findings: dict[str, Any] = request.param.run("evals", server.url, wanted)
    return findings


def test_a_benchmark_is_registered_and_listed(found: dict[str, Any]) -> None:
    identifier, dataset_id, functions, kind = found["shown"]
    assert identifier == dataset_id and identifier.startswith("clients::eval/")
    assert (functions, kind) == (list(SCORES), "benchmark")
    assert found["listed"]
    assert found.get("gone", 404) == 404


@pytest.mark.parametrize("way", ["rows", "job", "agent"])
def test_rows_are_answered_and_scored(found: dict[str, Any], way: str) -> None:
    assert found[way]["answers"] == ANSWERS
    assert found[way]["scores"] == SCORES
    accuracy = found[way]["aggregated"]["basic::subset_of"]["accuracy"]
    assert (accuracy["num_correct"], accuracy["num_total"]) == (2, 3)


def test_rows_are_evaluated_one_by_one_as_the_clients_command_does(found: dict[str, Any]) -> None:
    assert found["one_by_one"] == SCORES["basic::equality"]


def test_jobs_are_numbered_and_completed(found: dict[str, Any]) -> None:
    jobs = [found[way] for way in ("job", "agent", "real")]
    assert [job["status"] for job in jobs] == ["completed"] * 3
    first = int(jobs[0]["job_id"])
    assert [int(job["job_id"]) - first for job in jobs] == [0, 1, 2]


def test_a_real_model_server_is_evaluated(found: dict[str, Any]) -> None:
    """Its weights are random: what it says is known to be something, and scored."""
    assert len(found["real"]["answers"]) == 2 and all(found["real"]["answers"])
    assert all(score in (0.0, 1.0) for score in found["real"]["scores"]["basic::subset_of"])


def test_a_job_that_hangs_is_cancelled(found: dict[str, Any]) -> None:
    cancelled = found["cancelled"]
    assert cancelled["before"] == "in_progress"
    assert cancelled["after"] == "cancelled"
    assert cancelled["within_s"] < 1.5


def test_refusals_have_their_status(found: dict[str, Any]) -> None:
    assert found["refused"] == [404, 404, 404, 409, 400]
