"""kill -9 at random moments: the view that is opened again equals one built from the log."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from projections.warehouse.files import copies_set_aside
from tests.projections.conftest import following, tables_of
from tests.projections.feeds import FileFeed
from tests.projections.processes import child

pytestmark = pytest.mark.slow

KILLS = 6


def test_the_view_equals_the_log_after_each_kill(tmp_path: Path) -> None:
    rng = random.Random(11)
    for _ in range(KILLS):
        with child("write_until_killed", tmp_path) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            time.sleep(rng.uniform(0.02, 0.6))
            process.kill()
        feed = FileFeed(tmp_path / "log.sqlite")
        try:
            with following(tmp_path, feed) as (warehouse, engine):
                engine.reached_blocking(feed.head(), 30)
                assert engine.state().degraded is False
                survived = tables_of(warehouse)
                engine.rebuild()
                engine.rebuilt_blocking(60)
                assert tables_of(warehouse) == survived
                assert len(survived["turn_changes"]) > 0
        finally:
            feed.close()
    assert copies_set_aside(tmp_path / "views.duckdb") == []
