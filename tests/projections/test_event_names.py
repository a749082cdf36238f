"""Which events the read models are made from, by names without versions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from projections.read_models import current_plan
from projections.warehouse.build import Build
from projections.warehouse.instance import Warehouse
from projections.warehouse.plan import Plan, ReadModel, Statement, compile_plan, event_names
from tests.projections import histories as h
from tests.projections.conftest import ListFeed


def test_every_event_is_read_by_a_read_model() -> None:
    assert event_names() <= current_plan().events


def test_a_plan_for_an_event_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projections.warehouse.plan.event_names", lambda: frozenset(("agent.deleted",)))
    with pytest.raises(
        ValueError,
        match=r"agent_changes\.sql is for events that do not exist: agent\.created, agent\.updated",
    ):
        compile_plan([ReadModel(name="agent", apply=("agent_changes",))])


def test_a_build_of_the_first_release_is_followed_until_it_is_replaced(tmp_path: Path) -> None:
    # Version 0.1.0 named events with their versions, in the SQL too.
    now = current_plan()
    statements = tuple(
        Statement(
            one.name,
            tuple(f"{name}.1" for name in one.events),
            re.sub(r"'((?:agent|session)\.[a-z_]+)'", r"'\1.1'", one.sql),
        )
        for one in now.statements
        if one.name in ("agent_changes", "session_created")
    )
    feed = ListFeed()
    feed.append(h.agent_created("a1"), h.session_created("s1", "a1"), h.agent_created("a2"))
    warehouse = Warehouse.open(tmp_path)
    build = Build.create(warehouse, Plan(now.versions, now.ddl, statements, now.queries), feed.epoch)
    build.apply(build.prepare(feed.read(0, 10)))
    with warehouse.write() as transaction:
        assert transaction.rows(f"SELECT agent_id FROM {build.schema}.agents ORDER BY ALL") == [
            ("a1",),
            ("a2",),
        ]
        assert transaction.rows(f"SELECT session_id FROM {build.schema}.sessions") == [("s1",)]
    assert build.failed == []
    warehouse.close()
