"""A warehouse with an engine over a test feed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from projections.read_models import current_plan
from projections.warehouse.engine import Engine
from projections.warehouse.feed import Feed
from projections.warehouse.instance import Warehouse
from projections.warehouse.plan import Plan
from tests.projections.feeds import ListFeed

TABLES = (
    "agent_changes",
    "agent_deletions",
    "sessions",
    "shared_turns",
    "session_deletions",
    "turn_changes",
    "call_changes",
    "log_events",
    "dataset_changes",
    "dataset_deletions",
    "evaljob_changes",
    "evaljob_rows",
    "trainjob_changes",
    "trainjob_steps",
    "trainjob_epochs",
    "trainjob_checkpoints",
    "benchmarks",
    "benchmark_deletions",
    "failed_events",
)


@contextmanager
def following(
    folder: Path, feed: Feed, plan: Plan | None = None, **options: Any
) -> Iterator[tuple[Warehouse, Engine]]:
    """The view of `folder`, followed from `feed` until the end of the block."""
    warehouse = Warehouse.open(folder)
    engine = Engine(warehouse, feed, plan or current_plan(), **options)
    try:
        engine.start()
        yield warehouse, engine
    finally:
        engine.stop()
        warehouse.close()


def tables_of(warehouse: Warehouse) -> dict[str, list[tuple[Any, ...]]]:
    """All that the served build holds, table by table."""
    with warehouse.write() as transaction:
        ((schema,),) = transaction.rows("SELECT schema_name FROM views.main.served")
        return {
            table: transaction.rows(f"SELECT * FROM views.{schema}.{table} ORDER BY ALL") for table in TABLES
        }


@pytest.fixture
def feed() -> ListFeed:
    return ListFeed()


@pytest.fixture
def view(tmp_path: Path, feed: ListFeed) -> Iterator[tuple[Warehouse, Engine]]:
    with following(tmp_path, feed) as opened:
        yield opened
