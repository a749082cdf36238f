"""`kill -9` in the middle of jobs: acknowledged rows stay, no row is scored twice, and every job comes to its end."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from stack.eventstore.sqlite.verify import verify
from tests.server.api import parse
from tests.server.crash_load import Asked, counting_model
from tests.server.evals import EQUALITY, Benchmark, Evals, agent, model
from tests.server.process import Replaystack

pytestmark = [pytest.mark.slow, pytest.mark.long]

KILLS = 30
LOAD_S = 0.35
RECOVERY_S = 0.25
"""One kill in four comes at a random moment of the start after another kill, while jobs are taken up."""
MODEL = "scripted/text;chunks=3;gap_ms=4"
ROWS, CONCURRENCY = 40, 8


def test_jobs_survive_kills(tmp_path: Path) -> None:
    seed = int(os.environ.get("REPLAYSTACK_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
    try:
        with counting_model() as (model_url, asked):
            Folder(tmp_path / "data", model_url, asked, seed).run()
    except BaseException as error:
        error.add_note(f"REPLAYSTACK_TEST_SEED={seed}")
        raise


class Seen:
    """A job, and what its clients were told: the rows that they saw done, and the frames of its stream."""

    def __init__(self, benchmark: str, job_id: str, rows: int) -> None:
        self.benchmark = benchmark
        self.job_id = job_id
        self.rows = rows
        self.frames: dict[str, str] = {}
        self.ended: str = ""


class Folder:
    """A data folder through its kills."""

    def __init__(self, data: Path, model_url: str, asked: Asked, seed: int) -> None:
        settings = {"restart_limit": 1000, "eval_concurrency": CONCURRENCY, "eval_running_jobs": 2}
        self.server = Replaystack(data, model_url=model_url, settings=settings)
        self.asked = asked
        self.random = random.Random(seed)
        self.seen: list[Seen] = []
        self.cancelled: set[str] = set()
        self.unanswered: tuple[str, dict[str, Any]] | None = None
        self.keyed: Counter[str] = Counter()
        self.surprises: list[str] = []

    def run(self) -> None:
        self.server.start()
        kills = 0
        try:
            self.prepare()
            while kills < KILLS:
                threads = self.begin()
                time.sleep(self.random.uniform(0.05, LOAD_S))
                self.server.kill9()
                kills += 1
                for thread in threads:
                    thread.join(30)
                assert not self.surprises, self.surprises
                if self.random.random() < 0.25:
                    self.server.start()
                    time.sleep(self.random.uniform(0.0, RECOVERY_S))
                    self.server.kill9()
                    kills += 1
                self.server.start()
                if self.random.random() < 0.25:
                    self.check()
            self.check()
            self.server.check_healthy()
            assert self.server.stop() == 0
            report = verify(self.server.data)
            assert report.ok, report.problems
            self.check_log()
        finally:
            if self.server.running:
                self.server.kill9()
        assert len(self.seen) > 10

    def prepare(self) -> None:
        with self.server.http() as http:
            evals = Evals(http)
            for name in ("jobs", "agents", "keyed", "now"):
                rows = [
                    {"question": f"{name} {number} {uuid.uuid4()}", "answer": "The answer comes"}
                    for number in range(ROWS if name != "agents" else 12)
                ]
                evals.registered(rows, name=name)

    def begin(self) -> list[threading.Thread]:
        work: list[Callable[[Evals], None]] = [self.job, self.agent_job, self.keyed_job, self.evaluation]
        threads = [threading.Thread(target=self.until_it_is_gone, args=(one,)) for one in work]
        for thread in threads:
            thread.start()
        return threads

    def until_it_is_gone(self, work: Callable[[Evals], None]) -> None:
        with httpx.Client(base_url=self.server.url, trust_env=False, verify=False, timeout=20) as http:
            try:
                while True:
                    work(Evals(http))
            except httpx.TransportError:
                return
            except Exception as surprise:
                self.surprises.append(repr(surprise))

    def scheduled(self, benchmark: Benchmark, config: dict[str, Any], **headers: str) -> Seen:
        seen = Seen(benchmark.name, benchmark.run(config, 0, **headers).json()["job_id"], 0)
        self.seen.append(seen)
        return seen

    def follow(self, benchmark: Benchmark, seen: Seen) -> None:
        """Reads the job's stream on from the last frame that was seen."""
        last = max((int(frame.split(".")[0]) for frame in seen.frames), default=0)
        headers = {"last-event-id": f"{last}.0"} if last else {}
        raw = b""
        try:
            with benchmark.http.stream(
                "GET", f"{benchmark.path}/jobs/{seen.job_id}/events", headers=headers
            ) as answer:
                assert answer.status_code == 200
                for piece in answer.iter_raw():
                    raw += piece
        finally:
            for frame in parse(raw[: raw.rfind(b"\n\n") + 2]) if b"\n\n" in raw else []:
                assert frame.id not in seen.frames, "a frame came twice"
                seen.frames[frame.id] = frame.data

    def job(self, evals: Evals) -> None:
        benchmark = Benchmark(evals, "jobs")
        seen = self.scheduled(benchmark, model(MODEL))
        if self.random.random() < 0.3:
            time.sleep(self.random.uniform(0, 0.1))
            self.cancelled.add(seen.job_id)
            assert benchmark.cancel(seen.job_id).status_code == 200
            seen.ended = benchmark.status(seen.job_id)
            assert seen.ended in ("cancelled", "completed")
        self.follow(benchmark, seen)

    def agent_job(self, evals: Evals) -> None:
        benchmark = Benchmark(evals, "agents")
        self.follow(benchmark, self.scheduled(benchmark, agent(MODEL)))

    def keyed_job(self, evals: Evals) -> None:
        """Sends again the requests that were not answered before the last kill: still only one job
        results."""
        self.unanswered = self.unanswered or (str(uuid.uuid4()), model(MODEL, num_examples=20))
        key, config = self.unanswered
        benchmark = Benchmark(evals, "keyed")
        answer = benchmark.run(config, 0, idempotency_key=key)
        assert answer.status_code == 200, answer.text
        self.unanswered = None
        job_id = answer.json()["job_id"]
        self.keyed[job_id] += 1
        assert benchmark.run(config, 10, idempotency_key=key).json()["job_id"] == job_id

    def evaluation(self, evals: Evals) -> None:
        rows = [{"question": f"now {uuid.uuid4()}", "answer": "The answer comes"} for _ in range(10)]
        answer = Benchmark(evals, "now").evaluate(rows, model(MODEL))
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["generations"]) == 10

    def check(self) -> None:
        """Every job comes to its end by itself; what was seen of it is as it was."""
        with self.server.http() as http:
            evals = Evals(http)
            for seen in self.seen:
                benchmark = Benchmark(evals, seen.benchmark)
                outcome = benchmark.ended(seen.job_id, 60.0)
                if seen.ended:
                    assert outcome["status"] == seen.ended, "an end that was acknowledged is another now"
                elif seen.job_id not in self.cancelled or seen.benchmark != "jobs":
                    assert outcome["status"] == "completed", outcome
                self.check_frames(benchmark, seen, outcome)

    def check_frames(self, benchmark: Benchmark, seen: Seen, outcome: dict[str, Any]) -> None:
        answer = benchmark.get(seen.job_id, "/events")
        frames = {frame.id: frame.data for frame in parse(answer.content)}
        assert seen.frames.items() <= frames.items(), "a frame that was seen is lost or changed"
        payloads = [json.loads(data)["event"] for data in frames.values()]
        rows = Counter(one["row"] for one in payloads if one["event_type"] == "row_evaluated")
        assert not [row for row, count in rows.items() if count > 1], "a row was scored twice"
        assert len(rows) == outcome["num_done"]
        if outcome["status"] == "completed":
            assert set(rows) == set(range(outcome["num_rows"])), "a row is missing"
            result = benchmark.result(seen.job_id)
            scores = result["scores"][EQUALITY]
            assert all(one["generated_answer"] == "The answer comes" for one in result["generations"])
            assert scores["aggregated_results"]["accuracy"]["num_correct"] == outcome["num_rows"]

    def check_log(self) -> None:
        """No row twice in the whole log, every key one job, and no more questions asked than starts explain."""
        with closing(sqlite3.connect(self.server.data / "events.sqlite")) as log:
            rows = log.execute(
                "SELECT stream, CAST(state AS TEXT) ->> '$.row', count(*) FROM events "
                "WHERE name = 'evaljob.row_evaluated.1' GROUP BY 1, 2 HAVING count(*) > 1"
            ).fetchall()
            assert rows == []
            done, starts = (
                log.execute("SELECT count(*) FROM events WHERE name = ?", (name,)).fetchone()[0]
                for name in ("evaljob.row_evaluated.1", "evaljob.started.1")
            )
            scheduled = log.execute(
                "SELECT count(*) FROM events WHERE stream LIKE 'default/evaljob/keyed/%' "
                "AND name = 'evaljob.scheduled.1'"
            ).fetchone()[0]
            # Agents: what was under way goes on as a turn; no second one is begun for its row.
            turns = log.execute(
                "SELECT count(*) FROM events "
                "WHERE name = 'turn.started.1' AND CAST(state AS TEXT) LIKE '%agents %'"
            ).fetchone()[0]
            agent_rows = log.execute(
                "SELECT count(*) FROM events WHERE stream LIKE 'default/evaljob/agents/%' "
                "AND name = 'evaljob.row_evaluated.1'"
            ).fetchone()[0]
        assert sum(self.asked.by_marker.values()) <= done + starts * CONCURRENCY
        assert len(self.keyed) <= scheduled <= len(self.keyed) + 1
        assert turns == agent_rows, "a row's agent was asked twice"
