"""Agents as candidates: each row is a recorded session with a turn."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from tests.server.conftest import FreshServer
from tests.server.evals import ANSWER, EQUALITY, Benchmark, Evals, agent, asked
from tests.server.process import wait_until
from tests.servers.processes import RunningServer

TOOL = {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}


@pytest.fixture
def benchmark(client: httpx.Client, scripted: RunningServer) -> Benchmark:
    return Evals(client).registered()


def rows_of(benchmark: Benchmark, job_id: str) -> list[dict[str, Any]]:
    return [payload for _, payload in benchmark.events(job_id) if payload["event_type"] == "row_evaluated"]


def turn_of(benchmark: Benchmark, agent_id: str, row: dict[str, Any]) -> dict[str, Any]:
    path = f"/v1alpha/agents/{agent_id}/session/{row['session_id']}/turn/{row['turn_id']}"
    turn: dict[str, Any] = benchmark.http.get(path).raise_for_status().json()
    return turn


def test_each_row_is_a_session_with_a_turn(benchmark: Benchmark) -> None:
    assert benchmark.run(agent(instructions="Be brief.", name="candidate")).json()["status"] == "completed"
    outcome = benchmark.outcome("0")
    shown = benchmark.http.get(f"/v1alpha/agents/{outcome['agent_id']}").json()
    assert shown["agent_config"]["instructions"] == "Be brief."
    listed = benchmark.http.get(f"/v1alpha/agents/{outcome['agent_id']}/sessions").json()["data"]
    rows = rows_of(benchmark, "0")
    assert {one["session_id"] for one in listed} == {row["session_id"] for row in rows}
    assert {one["session_name"] for one in listed} == {f"{benchmark.name}/0 row {n}" for n in range(4)}
    for row in rows:
        turn = turn_of(benchmark, outcome["agent_id"], row)
        assert turn["input_messages"] == [{"role": "user", "content": f"Question {row['row']}?"}]
        assert turn["output_message"]["content"] == row["generation"]["generated_answer"] == ANSWER
    scores = benchmark.result("0")["scores"][EQUALITY]
    assert [one["score"] for one in scores["score_rows"]] == [1.0, 0.0, 1.0, 0.0]
    assert outcome["usage"]["output_tokens"] == 12


def test_each_job_has_an_agent_of_its_own(benchmark: Benchmark) -> None:
    jobs = [benchmark.job(agent()) for _ in range(2)]
    assert len({benchmark.outcome(job)["agent_id"] for job in jobs}) == 2


def test_rows_with_a_request_can_be_answered_by_an_agent(benchmark: Benchmark) -> None:
    answer = benchmark.evaluate(asked(3), agent())
    assert [one["generated_answer"] for one in answer.json()["generations"]] == [ANSWER] * 3


def test_a_turn_that_fails_is_its_rows_failure(benchmark: Benchmark, scripted: RunningServer) -> None:
    scripted.queue("text;chunks=3", "status;code=400;message=scripted", "text;chunks=3")
    assert benchmark.run(agent()).json()["status"] == "completed"
    [failed] = [row for row in rows_of(benchmark, "0") if "error" in row]
    assert failed["error"]["status"] == 400 and "scripted" in failed["generation"]["error"]
    turn = turn_of(benchmark, benchmark.outcome("0")["agent_id"], failed)
    assert turn["completed_at"]


def test_an_upstreams_fault_is_tried_again_in_a_new_session(
    benchmark: Benchmark, scripted: RunningServer
) -> None:
    scripted.queue("status;code=500", "text;chunks=3", "cut;chunks=2")
    assert benchmark.run(agent()).json()["status"] == "completed"
    outcome, rows = benchmark.outcome("0"), rows_of(benchmark, "0")
    assert outcome["num_failed"] == 0
    assert sorted(row["attempts"] for row in rows) == [1, 1, 2, 2]
    listed = benchmark.http.get(f"/v1alpha/agents/{outcome['agent_id']}/sessions").json()["data"]
    assert len(listed) == 6


def test_a_turn_that_waits_for_a_client_tool_is_its_rows_failure(benchmark: Benchmark) -> None:
    assert benchmark.run(agent("scripted/tools", client_tools=[TOOL])).json()["status"] == "failed"
    row = rows_of(benchmark, "0")[0]
    assert row["error"]["status"] == 400 and "look" in row["generation"]["error"]
    agent_id = benchmark.outcome("0")["agent_id"]
    path = f"/v1alpha/agents/{agent_id}/session/{row['session_id']}/turn/{row['turn_id']}/outcome"
    assert benchmark.http.get(path).json()["status"] == "cancelled"


def test_an_agent_takes_user_messages_only(client: httpx.Client, scripted: RunningServer) -> None:
    spoken = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    benchmark = Evals(client).registered([{"messages": spoken, "answer": "x"}, *asked(1)])
    assert benchmark.run(agent()).json()["status"] == "completed"
    assert "'system'" in benchmark.result("0")["generations"][0]["error"]


def test_cancelling_a_job_cancels_its_turns(benchmark: Benchmark, scripted: RunningServer) -> None:
    job_id = benchmark.job(agent("scripted/text;chunks=50;gap_ms=100"), wait=0)
    agent_id = benchmark.outcome(job_id)["agent_id"]
    sessions = f"/v1alpha/agents/{agent_id}/session"
    wait_until(lambda: scripted.counts()["requests"] == 4)
    began = time.monotonic()
    assert benchmark.cancel(job_id).status_code == 200
    assert time.monotonic() - began < 20.0
    assert benchmark.status(job_id) == "cancelled"
    for one in benchmark.http.get(f"/v1alpha/agents/{agent_id}/sessions").json()["data"]:
        [turn] = benchmark.http.get(f"{sessions}/{one['session_id']}").json()["turns"]
        outcome = benchmark.http.get(f"{sessions}/{one['session_id']}/turn/{turn['turn_id']}/outcome").json()
        assert outcome["status"] == "cancelled"


def test_an_agent_that_is_deleted_fails_the_rows_that_are_left(benchmark: Benchmark) -> None:
    evals = benchmark.evals
    large = evals.registered(asked(60))
    job_id = large.job(agent("scripted/text;chunks=3;first_ms=60"), wait=0)
    large.until(job_id, 8)
    agent_id = large.outcome(job_id)["agent_id"]
    assert large.http.delete(f"/v1alpha/agents/{agent_id}").status_code == 200
    outcome = large.ended(job_id)
    assert outcome["status"] == "completed"
    assert outcome["num_done"] == 60 and 0 < outcome["num_failed"] < 60


@pytest.mark.slow
def test_a_restart_goes_on_with_the_turns_that_were_under_way(
    fresh_server: FreshServer, scripted: RunningServer
) -> None:
    server = fresh_server(shutdown_grace_s=0)
    with server.http() as http:
        benchmark = Evals(http).registered(asked(6))
        job_id = benchmark.job(agent("scripted/text;chunks=3;first_ms=400"), wait=0)
        wait_until(lambda: scripted.counts()["requests"] == 6)
    server.restart()
    with server.http() as http:
        benchmark = Benchmark(Evals(http), benchmark.name)
        assert benchmark.ended(job_id)["status"] == "completed"
        agent_id = benchmark.outcome(job_id)["agent_id"]
        rows = rows_of(benchmark, job_id)
        assert sorted(row["row"] for row in rows) == list(range(6))
        listed = http.get(f"/v1alpha/agents/{agent_id}/sessions").json()["data"]
        assert len(listed) == 6, "a row that was under way began a second session"
    server.check_healthy()
