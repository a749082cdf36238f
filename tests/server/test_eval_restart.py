"""Evaluation jobs over stops and starts of their server."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from schemas.events.benchmark import BenchmarkJobScheduled
from schemas.events.evaljob import (
    EvalJobCancelRequested,
    EvalJobRowEvaluated,
    EvalJobScheduled,
    EvalJobStarted,
    Generation,
)
from schemas.events.payload import BenchmarkConfig, EvalCandidate, SamplingParams, TurnUsage
from schemas.events.turn import Owner
from stack.event_log import open_store
from stack.eventstore import Append, StreamWrite, stream_name
from tests.server.conftest import FreshServer
from tests.server.evals import ANSWER, EQUALITY, Benchmark, Evals, asked, model
from tests.server.process import wait_until
from tests.servers.processes import RunningServer

pytestmark = [pytest.mark.slow, pytest.mark.long]

SLOW = "scripted/text;chunks=3;first_ms=120"
CONCURRENCY = 8


def test_a_restart_goes_on_with_the_rows_that_are_missing(
    fresh_server: FreshServer, scripted: RunningServer
) -> None:
    server = fresh_server(shutdown_grace_s=0)
    with server.http() as http:
        benchmark = Evals(http).registered(asked(60), name="long")
        job_id = benchmark.job(model(SLOW), wait=0)
        benchmark.until(job_id, 10)
    server.restart()
    with server.http() as http:
        benchmark = Benchmark(Evals(http), "long")
        outcome = benchmark.ended(job_id)
        assert (outcome["status"], outcome["num_done"]) == ("completed", 60)
        frames = benchmark.events(job_id)
        rows = [payload["row"] for _, payload in frames if payload["event_type"] == "row_evaluated"]
        assert sorted(rows) == list(range(60))
        starts = [payload["attempt"] for _, payload in frames if payload["event_type"] == "started"]
        assert starts == [1, 2]
        result = benchmark.result(job_id)
    assert scripted.counts()["requests"] <= 60 + CONCURRENCY, "a row that was done was done again"
    assert [one["score"] for one in result["scores"][EQUALITY]["score_rows"]] == [1.0, 0.0] * 30


def test_a_stop_lets_rows_that_are_under_way_finish(
    fresh_server: FreshServer, scripted: RunningServer
) -> None:
    server = fresh_server(shutdown_grace_s=5)
    with server.http() as http:
        benchmark = Evals(http).registered(asked(60), name="long")
        job_id = benchmark.job(model(SLOW), wait=0)
        benchmark.until(job_id, 10)
    assert server.stop() == 0
    asked_by_then = scripted.counts()["requests"]
    assert asked_by_then < 60
    server.start()
    with server.http() as http:
        assert Benchmark(Evals(http), "long").ended(job_id)["num_done"] == 60
    assert scripted.counts()["requests"] == 60, "a row that was under way was lost"
    server.check_healthy()


def test_jobs_that_wait_are_taken_up_in_their_order(fresh_server: FreshServer) -> None:
    server = fresh_server(eval_running_jobs=1, shutdown_grace_s=0)
    with server.http() as http:
        benchmark = Evals(http).registered(asked(4), name="queue")
        jobs = [benchmark.job(model(SLOW), wait=0) for _ in range(4)]
    server.kill9()
    server.start()
    with server.http() as http:
        benchmark = Benchmark(Evals(http), "queue")
        ends = [benchmark.ended(job)["completed_at"] for job in jobs]
        assert ends == sorted(ends)
        assert benchmark.job() == "4"


def test_a_job_that_never_gets_further_is_given_up(fresh_server: FreshServer) -> None:
    server = fresh_server(restart_limit=1)
    with server.http() as http:
        benchmark = Evals(http).registered(asked(2), name="cursed")
        job_id = benchmark.job(model("scripted/silent"), wait=0)
        wait_until(lambda: benchmark.status(job_id) == "in_progress")
    server.kill9()
    server.start()
    with server.http() as http:
        benchmark = Benchmark(Evals(http), "cursed")
        wait_until(lambda: _starts(server.data) == 2)
        assert benchmark.status(job_id) == "in_progress"
    server.kill9()
    server.start()
    with server.http() as http:
        outcome = Benchmark(Evals(http), "cursed").ended(job_id)
    assert outcome["status"] == "failed" and "interrupted too often" in outcome["error"]["detail"]
    assert _starts(server.data) == 2


def _starts(data: Path) -> int:
    with closing(sqlite3.connect(data / "events.sqlite")) as log:
        count: int = log.execute("SELECT count(*) FROM events WHERE name = 'evaljob.started.1'").fetchone()[0]
    return count


def test_a_cancel_that_a_crash_cut_off_is_finished(fresh_server: FreshServer, tmp_path: Path) -> None:
    """The log as it is when the server dies between the two events of a cancel."""
    server = fresh_server()
    with server.http() as http:
        benchmark = Evals(http).registered(asked(3), name="cut")
        dataset_id = benchmark.dataset_id
    server.stop()
    asyncio.run(_half_cancelled(server.data, dataset_id))
    server.start()
    with server.http() as http:
        benchmark = Benchmark(Evals(http), "cut")
        outcome = benchmark.ended("0")
        assert (outcome["status"], outcome["num_done"]) == ("cancelled", 1)
        result = benchmark.result("0")
        assert result["scores"][EQUALITY]["aggregated_results"]["accuracy"]["num_total"] == 1
        assert Evals(http).unregister("cut").status_code == 200


async def _half_cancelled(data: Path, dataset_id: str) -> None:
    config = BenchmarkConfig(
        eval_candidate=EvalCandidate(type="model", model="scripted/text", sampling_params=SamplingParams())
    )
    scheduled = EvalJobScheduled(
        benchmark_id="cut",
        num_rows=3,
        config=config,
        scoring_functions=[EQUALITY],
        dataset_id=dataset_id,
        dataset_version=1,
    )
    row = EvalJobRowEvaluated(
        row=1,
        input_digest="00" * 8,
        generation=Generation(ANSWER),
        scores={EQUALITY: {"score": 1.0}},
        attempts=1,
        duration_ms=1,
        usage=TurnUsage(),
    )
    started = EvalJobStarted(owner=Owner("node", "boot"), attempt=1)
    requested = EvalJobCancelRequested(reason="The caller cancelled the job.")
    store = open_store(data)
    try:
        writes = (
            StreamWrite(stream_name("benchmark", "cut"), 1, [BenchmarkJobScheduled(job_id="0")]),
            StreamWrite(stream_name("evaljob", "cut/0"), 0, [scheduled, started, row, requested]),
        )
        await store.append(Append(writes))
    finally:
        store.close()
