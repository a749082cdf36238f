"""Following a log: reading one's own writes, lingering, bad events, restarts and rebuilds."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from projections import agent, session
from projections.read_models import READ_MODELS, current_plan
from projections.warehouse.build import recorded_position
from projections.warehouse.engine import Engine
from projections.warehouse.errors import PositionNotAhead, ViewBehind
from projections.warehouse.feed import Record, unversioned
from projections.warehouse.instance import Warehouse
from projections.warehouse.plan import Plan, ReadModel, compile_plan
from projections.warehouse.positions import Positions
from tests.projections import histories as h
from tests.projections.conftest import following, tables_of
from tests.projections.feeds import ListFeed

View = tuple[Warehouse, Engine]
PATIENT = {"linger_ms": 60_000, "linger_max_ms": 60_000}


def changed_plan() -> Plan:
    """The plan of a later version of the code: one more query, and another query changed."""
    plan = current_plan()
    queries = dict(plan.queries, agents_page=plan.queries["agents_page"] + "-- changed\n")
    return Plan({**plan.versions, "agent": 2}, plan.ddl, plan.statements, queries, plan.resolver)


# --- reading one's own writes --------------------------------------------------------------------------------


def test_whoever_waits_is_served_at_once(tmp_path: Path, feed: ListFeed) -> None:
    with following(tmp_path, feed, **PATIENT) as (warehouse, engine):
        position = feed.append(h.agent_created("a1"))
        assert engine.position() == 0
        engine.reached_blocking(position, 10)
        assert engine.position() == position
        assert agent.get(warehouse, "a1") is not None


@pytest.mark.anyio
async def test_coroutines_wait_too_and_many_at_once(tmp_path: Path, feed: ListFeed) -> None:
    with following(tmp_path, feed, **PATIENT) as (warehouse, engine):
        positions = [feed.append(h.agent_created(f"a{i}")) for i in range(50)]
        await asyncio.gather(*(engine.reached(position, 10) for position in positions))
        assert len(agent.page(warehouse)[0]) == 50
        assert len(engine._waiters) == 0


@pytest.mark.anyio
async def test_a_position_ahead_of_the_log_is_waited_for(view: View, feed: ListFeed) -> None:
    _, engine = view
    reads = feed.reads
    waiting = asyncio.create_task(engine.reached(2, 10))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    assert feed.reads - reads < 5  # It does not spin meanwhile.
    feed.append(h.agent_created("a1"), h.agent_created("a2"))
    await waiting


@pytest.mark.anyio
async def test_waiting_ends_with_its_time_and_leaves_nothing_behind(view: View) -> None:
    _, engine = view
    with pytest.raises(ViewBehind):
        await engine.reached(5, 0.05)
    with pytest.raises(ViewBehind):
        engine.reached_blocking(5, 0.05)
    given_up = asyncio.create_task(engine.reached(5, 10))
    await asyncio.sleep(0.01)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    assert len(engine._waiters) == 0


def test_without_a_waiter_records_linger_and_then_come(tmp_path: Path, feed: ListFeed) -> None:
    with following(tmp_path, feed, linger_ms=20) as (_, engine):
        position = feed.append(h.agent_created("a1"))
        deadline = time.monotonic() + 10
        while engine.position() < position and time.monotonic() < deadline:
            time.sleep(0.005)
        assert engine.position() == position


def test_records_that_came_together_share_a_flush(tmp_path: Path, feed: ListFeed) -> None:
    with following(tmp_path, feed, **PATIENT) as (_, engine):
        reads = feed.reads
        for i in range(200):
            position = feed.append(h.agent_created(f"a{i}"))
        engine.reached_blocking(position, 10)
        assert feed.reads - reads <= 2


@pytest.mark.anyio
async def test_waiting_ends_when_the_engine_does(tmp_path: Path, feed: ListFeed) -> None:
    with following(tmp_path, feed) as (_, engine):
        waiting = asyncio.create_task(engine.reached(9, 30))
        await asyncio.sleep(0.02)
        await asyncio.to_thread(engine.stop)
        with pytest.raises(ViewBehind):
            await waiting
        with pytest.raises(ViewBehind):
            await engine.reached(9)
        await engine.reached(0)


# --- going on ------------------------------------------------------------------------------------------------


def test_stop_applies_what_is_there(tmp_path: Path, feed: ListFeed) -> None:
    with following(tmp_path, feed, **PATIENT) as (_, engine):
        feed.append(h.agent_created("a1"), ("x/1", "unknown.thing.1", {}))
        engine.stop()
        assert engine.position() == 2
    reads = feed.reads
    with following(tmp_path, feed, **PATIENT) as (warehouse, engine):
        assert engine.position() == 2
        assert agent.get(warehouse, "a1") is not None
        assert feed.reads == reads


def test_a_restart_goes_on_where_it_ended(tmp_path: Path, feed: ListFeed) -> None:
    feed.append(h.agent_created("a1"), h.session_created("s1", "a1"), *h.turn_opened("t1", "s1", "a1"))
    with following(tmp_path, feed):
        pass
    feed.append(h.step_started("t1", "x"), h.step_completed("t1", "x"), *h.turn_completed("t1", "s1"))
    with following(tmp_path, feed) as (warehouse, engine):
        engine.reached_blocking(feed.head(), 10)
        again = tables_of(warehouse)
    with following(tmp_path / "other", feed) as (warehouse, _):
        assert tables_of(warehouse) == again


def test_unknown_events_are_passed_by(view: View, feed: ListFeed) -> None:
    warehouse, engine = view
    feed.append(("agent/a1", "agent.renamed.7", {"name": "x"}), ("what/ever/else", "a.b.1", b"not json"))
    engine.reached_blocking(feed.append(h.agent_created("a1")), 10)
    assert engine.state().degraded is False
    assert agent.get(warehouse, "a1") is not None


BAD = [
    ("agent/bad", "agent.created.1", b"{not json"),
    ("agent/bad", "agent.created.1", b"\xff\xfe"),
    ("agent/bad", "agent.created.1", b"[]"),
    ("session/bad", "session.created.1", {"agent_id": "a1"}),
    ("turn/bad", "turn.started.1", {"agent_id": "a1"}),
    ("turn/bad", "turn.started.1", {"session_id": "s", "usage": {"input_tokens": "many"}}),
]


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_event_is_written_down_and_passed_by(
    tmp_path: Path, feed: ListFeed, bad: tuple[str, str, dict[str, object] | bytes]
) -> None:
    good = [h.agent_created(f"a{i}") for i in range(9)]
    feed.append(*good[:5], bad, *good[5:])
    with following(tmp_path, feed) as (warehouse, engine):
        engine.reached_blocking(10, 10)
        state = engine.state()
        assert (state.degraded, state.position, state.last_error) == (True, 10, None)
        (failed,) = state.failed_events
        assert (failed.position, failed.stream, failed.name) == (6, f"default/{bad[0]}", unversioned(bad[1]))
        assert failed.error
        assert len(agent.page(warehouse)[0]) == 9
    with following(tmp_path, feed) as (_, engine):
        assert engine.state().failed_events == [failed]


def test_a_feed_that_fails_for_a_while_is_asked_again(tmp_path: Path) -> None:
    class Failing(ListFeed):
        failures = 2

        def read(self, after: int, limit: int) -> Sequence[Record]:
            if self.head() and self.failures:
                self.failures -= 1
                raise OSError("the log's disk is away")
            return super().read(after, limit)

    feed = Failing()
    with following(tmp_path, feed) as (warehouse, engine):
        position = feed.append(h.agent_created("a1"))
        with pytest.raises(ViewBehind):
            engine.reached_blocking(position, 10)
        assert "away" in (engine.state().last_error or "")
        deadline = time.monotonic() + 10
        while engine.state().degraded and time.monotonic() < deadline:
            time.sleep(0.02)
        assert agent.get(warehouse, "a1") is not None
        assert engine.state().degraded is False


# --- rebuilding ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_rebuild_while_reading_and_writing(tmp_path: Path, feed: ListFeed) -> None:
    feed.append(h.agent_created("a0"), h.session_created("s0", "a0"))
    for i in range(60):
        feed.append(*h.whole_turn(f"t{i}", "s0", "a0"))
    done = threading.Event()
    faults: list[BaseException] = []

    def read_all_the_time(warehouse: Warehouse) -> None:
        try:
            while not done.is_set():
                found = session.get(warehouse, "a0", "s0")
                assert found is not None
                assert len(found.turns) >= 60
        except BaseException as fault:
            faults.append(fault)

    with following(tmp_path, feed, batch_serving=20) as (warehouse, engine):
        engine.reached_blocking(feed.head(), 20)
        readers = [threading.Thread(target=read_all_the_time, args=(warehouse,)) for _ in range(2)]
        for reader in readers:
            reader.start()
        for i in range(3):
            engine.rebuild()
            for j in range(10):
                engine.reached_blocking(feed.append(h.agent_created(f"b{i}-{j}")), 20)
            engine.rebuilt_blocking(30)
        done.set()
        for reader in readers:
            reader.join()
        assert faults == []
        rebuilt = tables_of(warehouse)
        with warehouse.write() as transaction:
            schemas = transaction.rows(
                "SELECT count(*) FROM duckdb_schemas() WHERE starts_with(schema_name, 'build_')"
            )
        assert schemas == [(1,)]
    with following(tmp_path / "other", feed) as (warehouse, _):
        assert tables_of(warehouse) == rebuilt


def test_another_epoch_is_rebuilt_and_the_old_is_not_served(tmp_path: Path) -> None:
    with following(tmp_path, old := ListFeed("epoch-1")) as (_, engine):
        engine.reached_blocking(old.append(h.agent_created("old")), 10)
    entered, go_on = threading.Event(), threading.Event()

    class Slow(ListFeed):
        def read(self, after: int, limit: int) -> Sequence[Record]:
            if after:
                entered.set()
                go_on.wait(10)
            return super().read(after, limit)

    new = Slow("epoch-2")
    new.append(*[h.agent_created(f"new{i}") for i in range(5)])
    with following(tmp_path, new, batch_offline=2) as (warehouse, engine):
        assert entered.wait(10)
        assert (engine.state().serving, engine.state().rebuilding) == (False, True)
        with pytest.raises(ViewBehind):
            agent.page(warehouse)
        with pytest.raises(ViewBehind):
            engine.reached_blocking(0, 10)
        go_on.set()
        engine.rebuilt_blocking(10)
        assert [a.agent_id for a in agent.page(warehouse)[0]] == [f"new{i}" for i in range(5)]
        assert engine.state().epoch == "epoch-2"


def test_a_view_that_holds_more_than_its_log_is_left_as_it_is(tmp_path: Path, feed: ListFeed) -> None:
    feed.append(h.agent_created("a1"), h.agent_created("a2"), h.agent_created("a3"))
    with following(tmp_path, feed) as (_, engine):
        engine.reached_blocking(3, 10)
    feed.truncate(1)
    with following(tmp_path, feed) as (warehouse, engine):
        engine.rebuild()
        assert "ends at position 1, and the view holds its events up to position 3" in str(
            engine.state().last_error
        )
        with pytest.raises(ViewBehind):
            engine.reached_blocking(1, 10)
        with pytest.raises(ViewBehind):
            agent.page(warehouse)
    with closing(Warehouse.open(tmp_path)) as warehouse:
        kept = recorded_position(warehouse)
    assert kept is not None and kept.position == 3


def test_another_plan_is_built_beside_the_one_that_serves(tmp_path: Path) -> None:
    entered, go_on = threading.Event(), threading.Event()

    class Slow(ListFeed):
        slow = False

        def read(self, after: int, limit: int) -> Sequence[Record]:
            if self.slow and after == 20:  # the second batch of the new build; the old one is at 50
                entered.set()
                go_on.wait(10)
            return super().read(after, limit)

    feed = Slow()
    feed.append(*[h.agent_created(f"a{i}") for i in range(50)])
    with following(tmp_path, feed) as (_, engine):
        engine.reached_blocking(50, 10)
        before = engine.state().schema_hash
    feed.slow = True
    with following(tmp_path, feed, plan=changed_plan(), batch_serving=20) as (warehouse, engine):
        assert entered.wait(10)
        # The query that did not change is answered by the old build; the one that did is not there yet.
        assert agent.get(warehouse, "a49") is not None
        with pytest.raises(ViewBehind):
            agent.page(warehouse)
        go_on.set()
        engine.rebuilt_blocking(10)
        assert len(agent.page(warehouse)[0]) == 50
        assert engine.state().schema_hash == changed_plan().hash != before
    with following(tmp_path, feed, plan=changed_plan()) as (_, engine):
        assert engine.state().rebuilding is False


def test_the_hash_changes_with_the_sql_and_with_a_version() -> None:
    plan = compile_plan(READ_MODELS)
    assert plan.hash == current_plan().hash
    assert changed_plan().hash != plan.hash
    renamed = [ReadModel(**{**_fields(model), "version": 9}) for model in READ_MODELS]
    assert compile_plan(renamed).hash != plan.hash


def _fields(model: ReadModel) -> dict[str, object]:
    return {name: getattr(model, name) for name in model.__struct_fields__}


@pytest.mark.parametrize(
    "harm",
    [
        "DROP TABLE views.main.served",
        "DELETE FROM views.main.served",
        "UPDATE views.main.served SET plan = 'nonsense'",
        "UPDATE views.main.served SET schema_name = 'elsewhere'",
        "DROP TABLE views.build_1.progress",
        "DELETE FROM views.build_1.progress",
    ],
)
def test_a_lost_pointer_counts_as_lost(tmp_path: Path, feed: ListFeed, harm: str) -> None:
    feed.append(h.agent_created("a1"))
    with following(tmp_path, feed) as (warehouse, engine):
        engine.stop()
        with warehouse.write() as transaction:
            transaction.run(harm)
    with following(tmp_path, feed) as (warehouse, engine):
        engine.rebuilt_blocking(10)
        assert agent.get(warehouse, "a1") is not None
        assert engine.state().degraded is False


# --- positions of other followers ----------------------------------------------------------------------------


def test_tracked_positions_only_go_ahead(view: View) -> None:
    positions = Positions(view[0])
    assert positions.max_position("upstream") is None
    positions.insert_position("upstream", 3)
    positions.insert_position("other", 1)
    for position in (3, 2):
        with pytest.raises(PositionNotAhead):
            positions.insert_position("upstream", position)
    positions.insert_position("upstream", 7)
    assert (positions.max_position("upstream"), positions.max_position("other")) == (7, 1)
