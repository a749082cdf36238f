"""The views for users' SQL as of an earlier position or time: they show what they showed then, without what was deleted."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from projections.read_models import current_plan
from projections.telemetry_build import TelemetryBuild
from projections.user_views import NAMES
from projections.warehouse.build import Build
from projections.warehouse.instance import Warehouse
from tests.projections.feeds import ListFeed
from tests.projections.test_as_of import FIRST, LAST, deleted_since
from tests.projections.test_rebuild_equals_incremental import MOVES, World, _catch_up
from tests.projections.user_view_files import UserSql, user_sql
from tests.projections.user_view_history import TRACE
from tests.telemetry.odd_requests import logs_request
from tests.telemetry.otlp_metrics import PlainPoint, metrics_request
from tests.telemetry.otlp_requests import BASE_NS, PlainSpan, trace_request

Rows = dict[str, list[str]]
NEWEST = "SELECT max(position) FROM events"
OF_THE_LOG = ("events",)
"""Deleted events stay in it without their content."""
OF_TELEMETRY = ("traces", "spans", "span_events", "metrics", "logs")

moves = st.lists(st.tuples(st.sampled_from(MOVES), st.integers(0, 11)), min_size=10, max_size=25)


def shown(sql: UserSql, deleted: set[str] = frozenset()) -> Rows:  # type: ignore[assignment]
    """The rows of all views of the event log as texts, without those that name what was deleted."""
    found: Rows = {}
    for name in NAMES:
        if name not in (*OF_THE_LOG, *OF_TELEMETRY):
            rows = [repr(row) for row in sql.rows(f"SELECT * FROM {name}")]
            found[name] = sorted(row for row in rows if not names_any(row, deleted))
    return found


def names_any(row: str, ids: set[str]) -> bool:
    """Whether a row, as a text, has an id as a value, or in the name of a stream."""
    return any(
        f"{start}{one}{end}" in row for one in ids for start, end in (("'", "'"), ("/", "'"), ("/", "/"))
    )


@contextmanager
def copied(folder: Path) -> Iterator[UserSql]:
    """The views over the files as they are now."""
    with tempfile.TemporaryDirectory() as other:
        for path in folder.glob("*.duckdb*"):
            shutil.copy(path, Path(other) / path.name)
        sql = UserSql(Path(other))
        try:
            yield sql
        finally:
            sql.database.close()


@pytest.mark.slow
@settings(
    max_examples=3,
    suppress_health_check=[HealthCheck.too_slow],
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
@given(moves=moves)
def test_views_as_of_a_position_are_what_they_were(moves: list[tuple[str, int]]) -> None:
    world = World()
    kept: list[tuple[int, list[tuple[Any, ...]], Rows]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        warehouse = Warehouse.open(folder)
        try:
            TelemetryBuild.open(warehouse, "epoch")
            warehouse.checkpoint("telemetry")
            build = Build.create(warehouse, current_plan(), "epoch-1")
            build.become_served()
            story = [*((move, 0) for move in FIRST), *moves, *((move, 1) for move in LAST)]
            for number, (move, choice) in enumerate(story):
                world.move(move, choice)
                _catch_up(build, world.feed, 1000)
                if number % 9 == 0:
                    warehouse.checkpoint("views")
                    with copied(folder) as sql:
                        kept.append((world.feed.head(), sql.rows(NEWEST), shown(sql)))
            warehouse.checkpoint("views")
            with copied(folder) as sql:
                for position, newest, then in kept:
                    sql.create(position)
                    gone = _ids(world.feed, position)
                    expected = {
                        view: [row for row in rows if not names_any(row, gone)] for view, rows in then.items()
                    }
                    assert shown(sql, gone) == expected, position
                    # Events that cannot be read are in no view.
                    assert sql.rows(NEWEST) == newest and newest[0][0] <= position
                sql.create(0)
                assert not any(shown(sql).values())
        finally:
            warehouse.close()


def _ids(feed: ListFeed, position: int) -> set[str]:
    return {stream.partition("/")[2] for stream in deleted_since(feed, position)}


def test_telemetry_shows_what_had_happened(tmp_path: Path) -> None:
    """A trace of three spans, which had ended after 1, 2 and 3 ms."""
    spans = [
        PlainSpan(
            trace=TRACE,
            span=number,
            parent=None if number == 3 else 3,
            start_ns=BASE_NS + number,
            end_ns=BASE_NS + number * 1_000_000,
            events=[(BASE_NS, "retry", {})],
            status=2 if number == 1 else 0,
        )
        for number in (1, 2, 3)
    ]
    points = [PlainPoint(metric="speed", value=1.5, time_ns=BASE_NS + number) for number in (1, 2)]
    requests = [
        ("traces", trace_request(spans)),
        ("metrics", metrics_request(points)),
        ("logs", logs_request()),
    ]
    with user_sql(tmp_path, [], requests) as sql:  # type: ignore[arg-type]

        def counts() -> dict[str, int]:
            return {name: sql.rows(f"SELECT count(*) FROM {name}")[0][0] for name in OF_TELEMETRY}

        whole = counts()
        traces = sql.dicts("SELECT * FROM traces")
        for until_ns in (BASE_NS + 3_000_000, 2**63 - 1):
            sql.create(0, until_ns=until_ns)
            assert sql.dicts("SELECT * FROM traces") == traces
        sql.create(0, until_ns=2**63 - 1)
        assert counts() == whole
        sql.create(0, until_ns=BASE_NS + 2_000_000)
        assert (counts()["spans"], counts()["span_events"], counts()["metrics"]) == (2, 2, 2)
        one = sql.one("SELECT * FROM traces")
        assert (one["span_count"], one["error_count"], one["root_span_id"]) == (2, 1, f"{1:016x}")
        assert one["end_ns"] == BASE_NS + 2_000_000
        sql.create(0, until_ns=BASE_NS + 1)
        assert (counts()["spans"], counts()["traces"], counts()["metrics"]) == (0, 0, 1)
        sql.create(0, until_ns=0)
        assert not any(counts().values())
