"""Random histories: every read as of an earlier position is what it was when the log ended there, without what was deleted
since."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projections import agent, benchmark, dataset, evaljob, session, turn
from projections.read_models import current_plan
from projections.warehouse.build import Build
from projections.warehouse.engine import Engine
from projections.warehouse.instance import Warehouse
from projections.warehouse.plan import in_schema
from tests.projections import histories as h
from tests.projections.feeds import ListFeed
from tests.projections.test_rebuild_equals_incremental import MOVES, World, _catch_up

View = tuple[Warehouse, Engine]

DELETIONS = ("agent.deleted.1", "session.deleted.1", "dataset.unregistered.1", "benchmark.unregistered.1")
ORDER = "order of "
# Each key names what was read, after the streams whose deletion removes it.
Answers = dict[tuple[tuple[str, ...], str], Any]


class Ids:
    """The ids of everything that has existed in a history."""

    def __init__(self) -> None:
        self.agents: set[str] = set()
        self.sessions: dict[str, str] = {}
        self.turns: set[tuple[str, str, str]] = set()
        self.jobs: set[tuple[str, str]] = set()
        self.datasets: set[str] = set()
        self.benchmarks: set[str] = set()

    def note(self, world: World) -> None:
        self.agents.update(world.agents)
        self.sessions.update(world.sessions)
        for session_id, agent_id in world.sessions.items():
            self.turns.update((agent_id, session_id, turn_id) for turn_id in world.turns_of[session_id])
        self.datasets.update(world.datasets)
        for benchmark_id, jobs in world.benchmarks.items():
            self.benchmarks.add(benchmark_id)
            self.jobs.update((benchmark_id, job_id) for job_id in jobs)


def read_all(reader: Warehouse, ids: Ids, as_of: int | None = None) -> Answers:
    found: Answers = {}

    def listed(what: str, owners: tuple[str, ...], items: list[tuple[str, Any]]) -> None:
        found.update({((*owners, stream), what): item for stream, item in items})
        if items:
            found[owners, f"{ORDER}{what}"] = [stream for stream, _ in items]

    def one(what: str, streams: tuple[str, ...], item: Any) -> None:
        if item is not None:
            found[streams, what] = item

    listed("agents", (), [(f"agent/{one.agent_id}", one) for one in agent.page(reader, as_of=as_of)[0]])
    for agent_id in ids.agents:
        own = (f"agent/{agent_id}",)
        one("agent", own, agent.get(reader, agent_id, as_of=as_of))
        one("versions", own, agent.versions_page(reader, agent_id, as_of=as_of)[0] or None)
        of_agent = session.page(reader, agent_id, as_of=as_of)[0]
        listed("sessions", own, [(f"session/{one.session_id}", one) for one in of_agent])
    for session_id, agent_id in ids.sessions.items():
        streams = (f"agent/{agent_id}", f"session/{session_id}")
        one("session", streams, session.get(reader, agent_id, session_id, as_of=as_of))
    for agent_id, session_id, turn_id in ids.turns:
        streams = (f"agent/{agent_id}", f"session/{session_id}")
        one(f"turn {turn_id}", streams, turn.get(reader, agent_id, session_id, turn_id, as_of))
    listed("datasets", (), [(f"dataset/{one.identifier}", one) for one in dataset.listing(reader, as_of)])
    for dataset_id in ids.datasets:
        versions = dataset.versions_page(reader, dataset_id, as_of=as_of)[0]
        one("versions", (f"dataset/{dataset_id}",), versions or None)
    listing = benchmark.listing(reader, as_of)
    listed("benchmarks", (), [(f"benchmark/{one.identifier}", one) for one in listing])
    for benchmark_id in ids.benchmarks:
        own = (f"benchmark/{benchmark_id}",)
        one("benchmark", own, benchmark.get(reader, benchmark_id, as_of))
        one("jobs", own, evaljob.page(reader, benchmark_id, as_of=as_of)[0] or None)
    for benchmark_id, job_id in ids.jobs:
        view = evaljob.get(reader, benchmark_id, job_id, as_of)
        if view is not None:
            result = evaljob.result(reader, view)
            one(f"job {job_id}", (f"benchmark/{benchmark_id}",), (view.outcome, view.aggregates, result))
    return found


def deleted_since(feed: ListFeed, position: int) -> set[str]:
    """The streams that were deleted after a position."""
    records = feed.read(position, 10_000)
    return {record.stream.removeprefix("default/") for record in records if record.name in DELETIONS}


def without(answers: Answers, deleted: set[str]) -> Answers:
    """The answers without what was deleted, and without the order of lists."""
    return {
        key: answer
        for key, answer in answers.items()
        if deleted.isdisjoint(key[0]) and not key[1].startswith(ORDER)
    }


# Each kind of thing is there before the drawn moves, and changes after them.
FIRST = ("agent", "session", "open", "dataset", "benchmark", "job")
LAST = (
    "update",
    "agent",
    "session",
    "open",
    "step",
    "step_ends",
    "append",
    "dataset",
    "job_row",
    "job_ends",
    "job",
)

moves = st.lists(st.tuples(st.sampled_from(MOVES), st.integers(0, 11)), min_size=10, max_size=30)


@pytest.mark.slow
@settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(moves=moves)
def test_reads_as_of_a_position_are_what_they_were(moves: list[tuple[str, int]]) -> None:
    world, ids = World(), Ids()
    kept: list[tuple[int, Answers]] = []
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Warehouse.open(Path(folder))
        try:
            plan = current_plan()
            build = Build.create(warehouse, plan, "epoch-1")
            build.become_served()
            build.answer_reads(warehouse, plan)
            story = [*((move, 0) for move in FIRST), *moves, *((move, 1) for move in LAST)]
            for number, (move, choice) in enumerate(story):
                world.move(move, choice)
                _catch_up(build, world.feed, 1000)
                ids.note(world)
                if number % 5 == 0:
                    kept.append((world.feed.head(), read_all(warehouse, ids)))
            for position, answers in kept:
                deleted = deleted_since(world.feed, position)
                now = read_all(warehouse, ids, position)
                assert without(now, set()) == without(answers, deleted), position
                if not deleted:
                    assert now == answers, f"{position}: lists have another order"
            assert read_all(warehouse, ids, 0) == {}
        finally:
            warehouse.close()


@pytest.mark.parametrize(
    ("query", "table"),
    [
        ("session_with_turns", "turn_changes"),
        ("session_with_turns", "sessions"),
        ("turn_rows", "turn_changes"),
        ("agent_by_id", "agent_changes"),
        ("agent_versions_page", "agent_changes"),
        ("dataset_versions_page", "dataset_changes"),
    ],
)
def test_indexes_are_used_as_of_a_position(view: View, feed: ListFeed, query: str, table: str) -> None:
    feed.append(*[event for number in range(50) for event in _things(f"{number:03d}")])
    view[1].reached_blocking(feed.head(), 60)
    names = {"agent_id": "a020", "session_id": "s020", "turn_id": "t020", "dataset_id": "d020", "as_of": 150}
    names |= {"turn_ids": None, "version": 0, "after": 0, "row_count": 10, "start_index": 0}
    sql = in_schema(current_plan().queries[query], "views.build_1")
    given = {name: value for name, value in names.items() if re.search(rf"\${name}\b", sql)}
    for name in given:
        sql = re.sub(rf"\${name}\b", f"${list(given).index(name) + 1}", sql)
    with view[0].write() as transaction:
        [(_, plan)] = transaction.rows(f"EXPLAIN (ANALYZE, FORMAT json) {sql}", list(given.values()))
    scans = [
        one
        for one in _nodes(json.loads(plan)["operator"])
        if one.get("Table", "").endswith(f"build_1.{table}")
    ]
    assert scans and all(one["Type"] == "Index Scan" for one in scans), plan


def _nodes(operators: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yields the properties of each operator of a plan."""
    for one in operators:
        yield one.get("extra_info", {})
        yield from _nodes(one.get("children", []))


def _things(number: str) -> list[h.Happening]:
    """An agent, its session with a turn, and a dataset."""
    agent_id, session_id, turn_id = (f"{kind}{number}" for kind in "ast")
    return [
        h.agent_created(agent_id),
        h.session_created(session_id, agent_id),
        *h.whole_turn(turn_id, session_id, agent_id),
        h.dataset_registered(f"d{number}", 3),
    ]
