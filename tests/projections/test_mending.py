"""How a follower recovers: how long it pauses, when it takes a file for damaged, what it does without memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from projections import agent
from projections.warehouse import next_tables
from projections.warehouse.errors import FileDamaged, OutOfMemory, StorageFailed
from projections.warehouse.fresh_file import FreshFile
from projections.warehouse.instance import FRESH_SHARE, Warehouse
from projections.warehouse.recovery import is_damage, pause_s
from projections.warehouse.transaction import Columns, File, Transaction
from tests.projections import histories as h
from tests.projections.conftest import following
from tests.projections.feeds import ListFeed


def test_pauses_double_and_stay_bounded_for_ever() -> None:
    assert [pause_s(failures) for failures in (1, 2, 3)] == [0.1, 0.2, 0.4]
    assert pause_s(7) == pause_s(10_000) == 5.0  # Hours of failures: 2**10000 is no float.


@pytest.mark.parametrize(
    ("failure", "failures", "damaged"),
    [
        (StorageFailed("I/O error"), 1, False),
        (StorageFailed("I/O error"), 2, False),
        (StorageFailed("I/O error"), 3, True),
        (FileDamaged("Corrupt block"), 1, True),
        (StorageFailed("No space left on device"), 50, False),
    ],
)
def test_what_counts_as_damage(failure: StorageFailed, failures: int, damaged: bool) -> None:
    assert is_damage(failure, failures) is damaged


@pytest.mark.slow
def test_no_event_is_passed_over_for_a_lack_of_memory(
    tmp_path: Path, feed: ListFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fake is a database that has too little memory, for a whole batch and for a part of it: for the views, then for their next file, which
    then gets as much as there is."""
    load, failures, shares = Transaction.load, [OutOfMemory("full")] * 2, []
    fresh = Warehouse.fresh

    def failing(self: Transaction, columns: Columns) -> None:
        if failures:
            raise failures.pop()
        load(self, columns)

    def noted(self: Warehouse, file: File, *, share: int) -> FreshFile:
        shares.append(share)
        return fresh(self, file, share=share)

    monkeypatch.setattr(Transaction, "load", failing)
    monkeypatch.setattr(Warehouse, "fresh", noted)
    monkeypatch.setattr(next_tables, "BUILD_AGAIN_S", 0.0)
    feed.append(*[h.agent_created(f"a{number}") for number in range(3)])
    with following(tmp_path, feed) as (warehouse, engine):
        engine.rebuilt_blocking(20)
        assert failures == []
        failures += [OutOfMemory("full")] * 2
        engine.rebuild()
        engine.rebuilt_blocking(20)
        assert (failures, shares) == ([], [FRESH_SHARE, 1])
        assert engine.state().failed_events == []
        assert len(agent.page(warehouse)[0]) == 3
