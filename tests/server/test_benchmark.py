"""Benchmarks over HTTP: registered, listed, shown, unregistered with all that belongs to them."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from contextlib import closing
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.server.api import check_error
from tests.server.conftest import FreshServer
from tests.server.evals import ACCURACY, ANSWER, EQUALITY, Benchmark, Evals, agent, asked, model
from tests.servers.processes import RunningServer


@pytest.fixture
def evals(client: httpx.Client, scripted: RunningServer) -> Evals:
    return Evals(client)


@pytest.mark.parametrize(
    "name", ["plain", "meta::mmlu/v1", "jobs", "jobs/0", "a b", "über", "100%/x%2Fy", "a?b#c"]
)
def test_a_benchmark_is_registered_run_and_unregistered_under_any_id(evals: Evals, name: str) -> None:
    dataset_id = evals.datasets.registered(asked(2))
    answer = evals.register(
        name, dataset_id, provider_benchmark_id="theirs", provider_id="mine", metadata={"n": [1, None]}
    )
    assert (answer.status_code, answer.content) == (200, b"")
    benchmark = Benchmark(evals, quote(name, safe="/:"))
    shown = evals.show(benchmark.name)
    assert (
        shown.json()
        == evals.listed()[name]
        == {
            "identifier": name,
            "provider_resource_id": "theirs",
            "provider_id": "mine",
            "type": "benchmark",
            "dataset_id": dataset_id,
            "scoring_functions": [EQUALITY],
            "metadata": {"n": [1, None]},
        }
    )
    assert benchmark.job() == "0"
    assert benchmark.get("0").json() == {"job_id": "0", "status": "completed"}
    assert benchmark.outcome("0")["num_done"] == 2
    assert len(benchmark.result("0")["generations"]) == 2
    assert len(benchmark.events("0")) == 5
    assert benchmark.cancel("0").status_code == 200
    assert benchmark.evaluate(asked(1)).status_code == 200
    assert benchmark.compare("0", "0").status_code == 200
    gone = evals.unregister(benchmark.name)
    assert (gone.status_code, gone.content) == (200, b"")
    assert name not in evals.listed()
    for answer in (
        evals.show(benchmark.name),
        evals.unregister(benchmark.name),
        benchmark.run(),
        benchmark.get("0"),
        benchmark.get("0", "/result"),
        benchmark.get("0", "/events"),
        benchmark.cancel("0"),
        benchmark.evaluate(asked(1)),
        benchmark.compare("0", "0"),
    ):
        check_error(answer, 404)


def test_defaults_and_the_v1_alias(evals: Evals) -> None:
    benchmark = evals.registered()
    shown = evals.show(benchmark.name).json()
    assert (shown["provider_id"], shown["provider_resource_id"]) == ("replaystack", benchmark.name)
    assert shown["metadata"] == {}
    older = Evals(evals.http, "/v1")
    assert older.show(benchmark.name).json() == shown
    assert Benchmark(older, benchmark.name).job() == "0"
    assert Benchmark(older, benchmark.name).result("0") == benchmark.result("0")


def test_the_same_again_is_the_same_and_another_is_a_conflict(evals: Evals) -> None:
    benchmark = evals.registered()
    again = evals.register(benchmark.name, benchmark.dataset_id)
    assert (again.status_code, again.content) == (200, b"")
    other = evals.datasets.registered(asked(1))
    for changed in ({"dataset_id": other}, {"functions": []}, {"metadata": {"a": 1}}, {"provider_id": "x"}):
        body: dict[str, Any] = {"dataset_id": benchmark.dataset_id} | changed
        check_error(evals.register(benchmark.name, **body), 409, benchmark.name)
    assert evals.show(benchmark.name).json()["dataset_id"] == benchmark.dataset_id


def test_what_is_unknown_is_refused_when_it_is_named(evals: Evals) -> None:
    dataset_id = evals.datasets.registered(asked(1))
    check_error(evals.register("unknown", "no/such dataset"), 404, "no/such dataset")
    check_error(evals.register("unknown", dataset_id, ["basic::equalitee"]), 400, "basic::equality")
    check_error(evals.register("unknown", dataset_id, [EQUALITY, EQUALITY]), 400, "scoring_functions[1]")
    assert "unknown" not in evals.listed()


@pytest.mark.parametrize(
    ("change", "mentions"),
    [
        ({"benchmark_id": ""}, ["benchmark_id"]),
        ({"benchmark_id": "a/jobs"}, ["benchmark_id", "'jobs'"]),
        ({"benchmark_id": "a/jobs/1/result"}, ["benchmark_id", "jobs/1/result"]),
        ({"benchmark_id": "a/evaluations"}, ["benchmark_id"]),
        ({"benchmark_id": "a//b"}, ["benchmark_id"]),
        ({"benchmark_id": "x" * 300}, ["benchmark_id", "300"]),
        ({"benchmark_id": 4}, ["benchmark_id"]),
        ({"dataset_id": ""}, ["dataset_id"]),
        ({"scoring_functions": "basic::equality"}, ["scoring_functions"]),
        ({"metadata": [1]}, ["metadata"]),
        ({"metadata": {"a": "x" * 70_000}}, ["metadata"]),
        ({"datset_id": "x"}, ["datset_id", "dataset_id"]),
    ],
)
def test_bad_registrations_say_what_is_wrong(
    evals: Evals, change: dict[str, Any], mentions: list[str]
) -> None:
    body = {"benchmark_id": "bad", "dataset_id": "d", "scoring_functions": []} | change
    check_error(evals.http.post(evals.path, json=body), 400, *mentions)
    assert "bad" not in evals.listed()


def test_a_repeated_registration_with_a_key_is_one(evals: Evals) -> None:
    benchmark = evals.registered()
    body = {"benchmark_id": "keyed", "dataset_id": benchmark.dataset_id, "scoring_functions": []}
    same = {"idempotency-key": "registered once"}
    assert evals.http.post(evals.path, json=body, headers=same).status_code == 200
    evals.unregister("keyed")
    assert evals.http.post(evals.path, json=body, headers=same).status_code == 200
    assert "keyed" not in evals.listed(), "a repetition registered it again"


def test_one_of_many_at_once_is_registered(evals: Evals) -> None:
    datasets = [evals.datasets.registered(asked(1)) for _ in range(6)]
    answers: list[int] = []

    def register(dataset_id: str) -> None:
        answers.append(evals.register("contended", dataset_id).status_code)

    threads = [threading.Thread(target=register, args=(dataset_id,)) for dataset_id in datasets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(answers) == {200: 1, 409: 5}
    evals.unregister("contended")


@pytest.mark.slow
def test_numbers_of_jobs_are_never_used_again(fresh_server: FreshServer) -> None:
    server = fresh_server()
    with server.http() as http:
        benchmark = Evals(http).registered(name="again")
        assert [benchmark.job() for _ in range(3)] == ["0", "1", "2"]
        assert benchmark.evaluate(asked(1)).status_code == 200
        assert benchmark.job() == "3"
        for first in ("4", "5"):
            benchmark.evals.unregister("again")
            benchmark.evals.register("again", benchmark.dataset_id)
            assert benchmark.job() == first
            check_error(benchmark.get("0"), 404)
            check_error(benchmark.get("0", "/result"), 404)
    server.restart()
    with server.http() as http:
        assert Benchmark(Evals(http), "again").job() == "6"
        listed = Benchmark(Evals(http), "again").http.get(f"{Evals(http).path}/again/jobs").json()
    assert [one["job_id"] for one in listed["data"]] == ["5", "6"]


def test_unregistering_ends_what_runs_and_leaves_nothing(fresh_server: FreshServer) -> None:
    server = fresh_server(eval_running_jobs=1)
    secret = "a question that no one else asks"
    rows = [{"question": f"{secret} {number}", "answer": ANSWER} for number in range(40)]
    with server.http() as http:
        evals = Evals(http)
        benchmark = evals.registered(rows)
        done = benchmark.job(agent(instructions="secret instructions"))
        agent_id = benchmark.outcome(done)["agent_id"]
        sessions = http.get(f"/v1alpha/agents/{agent_id}/sessions").json()["data"]
        assert len(sessions) == 40
        running = benchmark.job(model("scripted/text;chunks=3;first_ms=200"), wait=0)
        waiting = benchmark.job(wait=0)
        benchmark.until(running, 1)
        assert benchmark.status(waiting) == "scheduled"
        events = benchmark.events
        followed: list[Any] = []
        thread = threading.Thread(target=lambda: followed.extend(events(running)))
        thread.start()
        assert evals.unregister(benchmark.name).status_code == 200
        thread.join(10)
        assert not thread.is_alive(), "a stream outlives its benchmark"
        check_error(http.get(f"/v1alpha/agents/{agent_id}"), 404)
        assert http.get(f"/v1alpha/agents/{agent_id}/sessions").status_code == 404
        assert evals.datasets.unregister(benchmark.dataset_id).status_code == 200
        server.check_healthy()
    server.stop()
    with closing(sqlite3.connect(server.data / "events.sqlite")) as log:
        left = log.execute(
            "SELECT name FROM events WHERE CAST(state AS TEXT) LIKE ?", (f"%{secret}%",)
        ).fetchall()
        assert left == []
        ends = log.execute("SELECT count(*) FROM events WHERE name = 'evaljob.cancelled.1'").fetchone()
        assert ends == (2,)


def test_parameters_belong_to_functions_that_run(evals: Evals) -> None:
    benchmark = evals.registered()
    answer = benchmark.run(model(scoring_params={"basic::subset_of": ACCURACY}))
    check_error(answer, 400, "basic::subset_of")
    wrong = {EQUALITY: {"type": "regex_parser", "parsing_regexes": [], "aggregation_functions": []}}
    check_error(benchmark.run(model(scoring_params=wrong)), 400, EQUALITY, "regex_parser")
