"""Random histories: a rebuild from the (redacted) log gives what following it gave, in any batching."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projections.read_models import current_plan
from projections.warehouse.build import Build
from projections.warehouse.feed import Feed
from projections.warehouse.instance import Warehouse
from projections.warehouse.transaction import Writes
from tests.projections import histories as h
from tests.projections import training_history
from tests.projections.conftest import TABLES
from tests.projections.feeds import ListFeed
from tests.projections.test_engine import BAD

pytestmark = pytest.mark.slow

MOVES = (
    "agent",
    "update",
    "session",
    "fork",
    "fork",
    "open",
    "step",
    "step_ends",
    "call",
    "restart",
    "train",
    "end",
    "late",
    "drop",
    "drop_agent",
    "dataset",
    "append",
    "drop_dataset",
    "benchmark",
    "job",
    "job_row",
    "job_ends",
    "drop_benchmark",
    "bad",
)


class World:
    """Makes events that are possible after those before, and redacts the log as a deletion does."""

    def __init__(self) -> None:
        self.feed = ListFeed()
        self.agents: list[str] = []
        self.sessions: dict[str, str] = {}
        self.turns: dict[str, str] = {}  # open turns: the session
        self.steps: dict[str, str] = {}  # open steps: the turn
        self.turns_of: dict[str, list[str]] = {}  # with those that a fork shares
        self.recorded_in: dict[str, str] = {}
        self.datasets: dict[str, int] = {}  # their rows
        self.benchmarks: dict[str, list[str]] = {}  # their jobs since they were registered
        self.next_job: dict[str, int] = {}
        self.jobs: list[tuple[str, str]] = []  # open ones
        self.rows_done: Counter[tuple[str, str]] = Counter()
        self.count = 0

    def move(self, move: str, choice: int) -> None:
        self.count += 1
        getattr(self, f"_{move}")(f"{self.count:04d}", choice)

    def _agent(self, name: str, choice: int) -> None:
        self.agents.append(name)
        self.feed.append(h.agent_created(name))

    def _update(self, name: str, choice: int) -> None:
        if self.agents:
            self.feed.append(h.agent_updated(_pick(self.agents, choice), f"Be {name}."))

    def _session(self, name: str, choice: int) -> None:
        if self.agents:
            self.sessions[name] = _pick(self.agents, choice)
            self.turns_of[name] = []
            self.feed.append(h.session_created(name, self.sessions[name]))

    def _fork(self, name: str, choice: int) -> None:
        if self.sessions:
            parent, agent = _pick(list(self.sessions), choice), _pick(self.agents, choice)
            self.sessions[name] = agent
            shared = [turn for turn in self.turns_of[parent] if turn not in self.turns]
            self.turns_of[name] = shared[: len(shared) - choice % 2]
            self.feed.append(*h.session_forked(name, agent, parent, self.turns_of[name]))

    def _open(self, name: str, choice: int) -> None:
        free = [s for s in self.sessions if s not in self.turns.values()]
        if free:
            at = _pick(free, choice)
            self.turns[name] = at
            self.turns_of[at].append(name)
            self.recorded_in[name] = at
            self.feed.append(*h.turn_opened(name, at, self.sessions[at]))

    def _step(self, name: str, choice: int) -> None:
        if self.turns:
            self.steps[name] = _pick(list(self.turns), choice)
            self.feed.append(h.step_started(self.steps[name], name))

    def _step_ends(self, name: str, choice: int) -> None:
        if self.steps:
            step = _pick(list(self.steps), choice)
            end = h.step_failed if choice % 3 == 0 else h.step_completed
            self.feed.append(end(self.steps.pop(step), step))

    def _call(self, name: str, choice: int) -> None:
        """Any of the other events of a turn; the outcome of a call may be settled after the turn."""
        change = ("tools_resolved", "tool_called", "tool_returned", "effect_settled")[choice % 4]
        turn = _pick(list(self.turns if choice % 4 < 3 else self.recorded_in) or [""], choice)
        if turn:
            payload = {"session_id": self.recorded_in[turn], "call_id": name, "digest": "d"}
            self.feed.append((f"turn/{turn}", f"turn.{change}.1", payload))

    def _restart(self, name: str, choice: int) -> None:
        if self.turns:
            self.feed.append(h.turn_restarted(_pick(list(self.turns), choice), 2))

    def _end(self, name: str, choice: int) -> None:
        if self.turns:
            turn = _pick(list(self.turns), choice)
            end = (h.turn_completed, h.turn_failed, h.turn_cancelled)[choice % 3]
            self.feed.append(*end(turn, self._close(turn)))

    def _late(self, name: str, choice: int) -> None:
        """An event of a turn whose session was deleted: a runner that had not heard of it."""
        gone = [turn for turn, session in self.recorded_in.items() if session not in self.sessions]
        if gone:
            self.feed.append(h.turn_cancelled(_pick(gone, choice), "gone")[0])

    def _drop(self, name: str, choice: int) -> None:
        if self.sessions:
            self._drop_session(_pick(list(self.sessions), choice))

    def _drop_agent(self, name: str, choice: int) -> None:
        if self.agents:
            agent = _pick(self.agents, choice)
            self.agents.remove(agent)
            self.feed.append(h.agent_deleted(agent))
            self.feed.redact({f"agent/{agent}"}, keep="agent.deleted.1")
            for session in [s for s, owner in self.sessions.items() if owner == agent]:
                self._drop_session(session)

    def _dataset(self, name: str, choice: int) -> None:
        """One of a few ids, so that some are registered again after they were dropped."""
        dataset = f"data/{choice % 3}"
        if dataset not in self.datasets:
            self.datasets[dataset] = choice
            self.feed.append(h.dataset_registered(dataset, choice))

    def _append(self, name: str, choice: int) -> None:
        if self.datasets:
            dataset = _pick(list(self.datasets), choice)
            self.feed.append(h.rows_appended(dataset, self.datasets[dataset], choice + 90))
            self.datasets[dataset] += choice + 90

    def _drop_dataset(self, name: str, choice: int) -> None:
        if self.datasets:
            dataset = _pick(list(self.datasets), choice)
            del self.datasets[dataset]
            self.feed.append(h.dataset_unregistered(dataset))
            self.feed.redact({f"dataset/{dataset}"}, keep="dataset.unregistered.1")

    def _benchmark(self, name: str, choice: int) -> None:
        """Draws one of a few ids, as for datasets; the numbers of its jobs continue."""
        benchmark = f"bench/{choice % 2}"
        if benchmark not in self.benchmarks:
            self.benchmarks[benchmark] = []
            self.feed.append(h.benchmark_registered(benchmark))

    def _job(self, name: str, choice: int) -> None:
        if self.benchmarks:
            benchmark = _pick(list(self.benchmarks), choice)
            number = self.next_job.get(benchmark, 0)
            self.next_job[benchmark] = number + 1
            self.benchmarks[benchmark].append(str(number))
            self.jobs.append((benchmark, str(number)))
            self.feed.append(*h.job_scheduled(benchmark, str(number), choice + 1))
            self.feed.append(h.job_started(benchmark, str(number)))

    def _job_row(self, name: str, choice: int) -> None:
        if self.jobs:
            job = _pick(self.jobs, choice)
            error = "gone" if choice % 4 == 0 else ""
            self.feed.append(h.row_evaluated(*job, self.rows_done[job], answer=name, error=error))
            self.rows_done[job] += 1

    def _job_ends(self, name: str, choice: int) -> None:
        if self.jobs:
            self._end_job(_pick(self.jobs, choice), ("completed", "failed", "cancelled")[choice % 3])

    def _train(self, name: str, choice: int) -> None:
        self.feed.append(*training_history.interrupted(name)[: choice + 1])

    def _end_job(self, job: tuple[str, str], status: str) -> None:
        self.jobs.remove(job)
        self.feed.append(*h.job_ended(*job, status))

    def _drop_benchmark(self, name: str, choice: int) -> None:
        if self.benchmarks:
            benchmark = _pick(list(self.benchmarks), choice)
            for job in [job for job in self.jobs if job[0] == benchmark]:
                self._end_job(job, "cancelled")
            gone = self.benchmarks.pop(benchmark)
            self.feed.append(h.benchmark_unregistered(benchmark, self.next_job.get(benchmark, 0)))
            streams = {f"benchmark/{benchmark}"} | {f"evaljob/{benchmark}/{job_id}" for job_id in gone}
            self.feed.redact(streams, keep="benchmark.unregistered.1")
            for job_id in gone:
                del self.rows_done[benchmark, job_id]

    def _bad(self, name: str, choice: int) -> None:
        self.feed.append(_pick(BAD, choice))

    def _drop_session(self, session: str) -> None:
        for turn in [t for t, at in self.turns.items() if at == session]:
            self._close(turn)
        del self.sessions[session]
        turns = self.turns_of[session]
        referred = {turn for other in self.sessions for turn in self.turns_of[other]}
        kept = [turn for turn in turns if turn in referred]
        freed = [t for t in turns if t not in referred and self.recorded_in[t] != session]
        self.feed.append(h.session_deleted(session, kept, freed))
        streams = {f"session/{session}"} | {f"turn/{turn}" for turn in turns if turn not in referred}
        self.feed.redact(streams, keep="session.deleted.1")

    def _close(self, turn: str) -> str:
        for step in [s for s, at in self.steps.items() if at == turn]:
            del self.steps[step]
        return self.turns.pop(turn)


def _pick(items: list[Any], choice: int) -> Any:
    return items[choice % len(items)]


def _contents(warehouse: Writes, build: Build) -> dict[str, list[Any]]:
    with warehouse.write() as transaction:
        return {
            table: [
                row if table != "failed_events" else row[:3]
                for row in transaction.rows(f"SELECT * FROM {build.schema}.{table} ORDER BY ALL")
            ]
            for table in TABLES
        }


def _catch_up(build: Build, feed: Feed, limit: int) -> None:
    while records := feed.read(build.position, limit):
        build.apply(build.prepare(records))


moves = st.lists(st.tuples(st.sampled_from(MOVES), st.integers(0, 11)), min_size=15, max_size=90)


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(moves=moves, follow_every=st.integers(1, 9), batch=st.integers(1, 40))
def test_a_rebuild_equals_what_was_followed(
    moves: list[tuple[str, int]], follow_every: int, batch: int
) -> None:
    world = World()
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Warehouse.open(Path(folder))
        try:
            plan = current_plan()
            followed = Build.create(warehouse, plan, "epoch-1")
            followed.become_served()
            followed.answer_reads(warehouse, plan)
            for i, (move, choice) in enumerate(moves):
                world.move(move, choice)
                if i % follow_every == 0:
                    _catch_up(followed, world.feed, batch)
            _catch_up(followed, world.feed, batch)
            expected = _contents(warehouse, followed)
            for limit in (1000, 3):
                fresh = warehouse.fresh("views")
                rebuilt = Build.create(fresh, plan, "epoch-1")
                _catch_up(rebuilt, world.feed, limit)
                found = _contents(fresh, rebuilt)
                fresh.discard()
                # A bad event of a stream that was redacted since is no longer bad.
                found.pop("failed_events")
                assert found == {table: rows for table, rows in expected.items() if table in found}
            of_events = ("turn_changes", "call_changes", "log_events", "failed_events")
            positions = sorted(row[0] for table in of_events for row in expected[table])
            assert positions == list(range(1, world.feed.head() + 1))
            living = set(world.sessions)
            assert {row[2] for row in expected["sessions"]} == living
            referred = {turn for session in living for turn in world.turns_of[session]}
            started = [row for row in expected["turn_changes"] if row[3] == "started"]
            assert {row[2] for row in started} == referred
            shared = {
                (session, turn)
                for session in living
                for turn in world.turns_of[session]
                if world.recorded_in[turn] != session
            }
            assert {(row[1], row[2]) for row in expected["shared_turns"]} == shared
            held: dict[str, int] = {}
            for row in expected["dataset_changes"]:
                held[row[2]] = held.get(row[2], 0) + row[6]
            assert held == world.datasets
            assert {row[2] for row in expected["benchmarks"]} == set(world.benchmarks)
            jobs = {(row[2], row[3]) for row in expected["evaljob_changes"]}
            assert jobs == {(name, job) for name, jobs in world.benchmarks.items() for job in jobs}
            assert Counter((row[2], row[3]) for row in expected["evaljob_rows"]) == +world.rows_done
        finally:
            warehouse.close()
