"""The warehouse: locked down, safe between threads, and healing when its files are lost or damaged."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from projections import agent
from projections.read_models import current_plan
from projections.warehouse.engine import Engine
from projections.warehouse.errors import FileInUse, StatementRefused, ViewBehind, WarehouseClosed
from projections.warehouse.files import DAMAGED_COPIES_KEPT, copies_set_aside
from tests.projections import histories as h
from tests.projections.conftest import following, tables_of
from tests.projections.feeds import ListFeed
from tests.projections.processes import child


def _garbage(path: Path) -> None:
    path.write_bytes(os.urandom(path.stat().st_size))


def _half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _header_only(path: Path) -> None:
    os.truncate(path, 4096)


def _stub(path: Path) -> None:
    os.truncate(path, 100)


def _emptied(path: Path) -> None:
    os.truncate(path, 0)


def _text(path: Path) -> None:
    path.write_text("this is no database\n" * 1000)


def _header_overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\x00" * 12288)


def _middle_overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(12288)
        file.write(os.urandom(path.stat().st_size - 12288))


def _lost(path: Path) -> None:
    path.unlink()


def _lost_but_for_its_log(path: Path) -> None:
    path.with_name("views.duckdb.wal").write_bytes(os.urandom(5000))
    path.unlink()


def _log_of_garbage(path: Path) -> None:
    path.with_name("views.duckdb.wal").write_bytes(os.urandom(5000))


def _log_of_another(path: Path) -> None:
    path.with_name("views.duckdb.wal").write_bytes(path.read_bytes()[:9000])


HARMS = [
    _garbage,
    _half,
    _header_only,
    _stub,
    _emptied,
    _text,
    _header_overwritten,
    _middle_overwritten,
    _lost,
    _lost_but_for_its_log,
    _log_of_garbage,
    _log_of_another,
]


@pytest.mark.slow
@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_file_heals_at_start(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    feed = ListFeed()
    feed.append(h.agent_created("a1"), h.session_created("s1", "a1"), *h.whole_turn("t1", "s1", "a1"))
    with following(tmp_path, feed) as (warehouse, engine):
        engine.reached_blocking(feed.head(), 10)
        whole = tables_of(warehouse)
    harm(tmp_path / "views.duckdb")
    feed.append(h.agent_created("a2"))
    with following(tmp_path, feed) as (warehouse, engine):
        engine.rebuilt_blocking(20)
        engine.reached_blocking(feed.head(), 10)
        assert [a.agent_id for a in agent.page(warehouse)[0]] == ["a1", "a2"]
        assert tables_of(warehouse)["turn_changes"] == whole["turn_changes"]
        assert engine.state().degraded is False


def test_few_damaged_copies_are_kept(tmp_path: Path, feed: ListFeed) -> None:
    path = tmp_path / "views.duckdb"
    for i in range(DAMAGED_COPIES_KEPT + 2):
        path.write_text(f"damaged {i} " * 1000)
        with following(tmp_path, feed):
            pass
    kept = copies_set_aside(path)
    assert len(kept) == DAMAGED_COPIES_KEPT
    assert [copy.read_text()[:9] for copy in kept] == ["damaged 2", "damaged 3"]


def test_the_telemetry_file_heals_too(tmp_path: Path, feed: ListFeed) -> None:
    (tmp_path / "telemetry.duckdb").write_text("no database " * 1000)
    with following(tmp_path, feed) as (_, engine):
        engine.reached_blocking(feed.append(h.agent_created("a1")), 10)
    assert len(copies_set_aside(tmp_path / "telemetry.duckdb")) == 1


def test_a_file_that_another_process_holds_is_left_alone(tmp_path: Path, feed: ListFeed) -> None:
    feed.append(h.agent_created("a1"))
    with following(tmp_path, feed), child("try_to_open", tmp_path) as process:
        assert process.communicate(timeout=30)[0].strip() == FileInUse.__name__
    assert copies_set_aside(tmp_path / "views.duckdb") == []
    assert sorted(path.name for path in tmp_path.glob("views*")) == ["views.duckdb"]


def test_it_reopens_while_the_engine_runs(tmp_path: Path, feed: ListFeed) -> None:
    with following(tmp_path, feed) as (warehouse, engine):
        engine.reached_blocking(feed.append(h.agent_created("a1")), 10)
        engine.stop()
        for damaged in (False, True):
            warehouse.reopen(damaged="views" if damaged else None, generation=warehouse.generation)
            with pytest.raises(ViewBehind):
                agent.page(warehouse)
            again = Engine(warehouse, feed, current_plan())
            again.start()
            again.reached_blocking(feed.append(h.agent_created(f"b{damaged}")), 10)
            again.stop()
            assert agent.get(warehouse, "a1") is not None


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "COPY (SELECT 1) TO 'out.csv'",
        "ATTACH 'other.duckdb'",
        "SET threads = 8",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "LOAD '/tmp/x.duckdb_extension'",
    ],
)
def test_it_is_locked(tmp_path: Path, feed: ListFeed, statement: str) -> None:
    with (
        following(tmp_path, feed) as (warehouse, _),
        pytest.raises(StatementRefused),
        warehouse.write() as tx,
    ):
        tx.run(statement)


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path, feed: ListFeed) -> None:
    with following(tmp_path, feed) as (warehouse, _):
        with warehouse.write("telemetry") as transaction:
            transaction.run("CREATE TABLE telemetry.main.kept (i INTEGER)")
        with pytest.raises(StatementRefused), warehouse.write("telemetry") as transaction:
            transaction.run("INSERT INTO telemetry.main.kept VALUES (1)")
            transaction.run("INSERT INTO telemetry.main.kept VALUES ('x')")
        with pytest.raises(ZeroDivisionError), warehouse.write("telemetry") as transaction:
            transaction.run("INSERT INTO telemetry.main.kept VALUES (2)")
            raise ZeroDivisionError
        with warehouse.write("telemetry") as transaction:
            assert transaction.rows("SELECT * FROM telemetry.main.kept") == []


def test_threads_come_and_go(tmp_path: Path, feed: ListFeed) -> None:
    feed.append(h.agent_created("a1"))
    with following(tmp_path, feed) as (warehouse, engine):
        engine.reached_blocking(1, 10)
        found: list[int] = []
        for _ in range(10):
            threads = [
                threading.Thread(target=lambda: found.append(len(agent.page(warehouse)[0]))) for _ in range(4)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert found == [1] * 40
        assert len(warehouse._readers._cursors) <= 5  # Those of ended threads are closed.


def test_closed_is_closed(tmp_path: Path, feed: ListFeed) -> None:
    with following(tmp_path, feed) as (warehouse, _):
        agent.page(warehouse)
    warehouse.close()
    with pytest.raises(WarehouseClosed):
        agent.page(warehouse)
    with pytest.raises(WarehouseClosed):
        warehouse.write()


def test_an_unknown_query_is_a_mistake_of_the_caller(tmp_path: Path, feed: ListFeed) -> None:
    with following(tmp_path, feed) as (warehouse, _), pytest.raises(KeyError):
        warehouse.read("no_such_query", {})


def test_a_folder_with_a_quote_in_its_name(tmp_path: Path, feed: ListFeed) -> None:
    with following(tmp_path / "it's here", feed) as (_, engine):
        engine.reached_blocking(feed.append(h.agent_created("a1")), 10)
