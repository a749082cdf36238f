"""The view `events` for users' SQL: it has every event of the log once, and of what was deleted no content."""

from __future__ import annotations

from pathlib import Path

from projections.read_models import current_plan
from projections.warehouse.plan import ERASED, event_names
from tests.projections import histories as h
from tests.projections import user_view_history as made
from tests.projections.feeds import ListFeed
from tests.projections.histories import Happening
from tests.projections.user_view_files import user_sql


def test_every_kind_of_event_is_in_one_table() -> None:
    """An event of turns that no table has would be missing from the view."""
    statements = {one.name: one.events for one in current_plan().statements}
    of_turns = {*statements["turn_changes"], *statements["call_changes"], "turn.tools_resolved"}
    assert {name for name in event_names() if name.startswith("turn.")} == of_turns
    assert {*statements["log_events"]} == {*event_names(), ERASED}


def history() -> list[Happening]:
    return [
        h.agent_created("a1"),
        h.session_created("s1", "a1"),
        *h.turn_opened("t1", "s1", "a1"),
        made.turn("t1", "tools_resolved", digest="d"),
        *made.inference("t1", "t1-a", h.message("Hi.")),
        *made.tool_step("t1", "t1-b", [made.call("c1")], ["3 cats"]),
        *h.turn_completed("t1", "s1"),
        h.dataset_registered("data/0", 2),
        h.benchmark_registered("bench/a"),
        *h.job_scheduled("bench/a", "1", 2),
        h.row_evaluated("bench/a", "1", 0),
    ]


def test_every_event_is_there_once(tmp_path: Path) -> None:
    feed = ListFeed()
    feed.append(*history())
    with user_sql(tmp_path, feed) as sql:
        rows = sql.rows(
            "SELECT position, 'default/' || stream, version, name || '.1', epoch_us(recorded_at), event::VARCHAR"
            " FROM events ORDER BY position"
        )
        found = [(*row[:-1], row[-1].encode()) for row in rows]
        assert found == [tuple(record) for record in feed.read(0, 100)]
        assert sql.rows(
            "SELECT DISTINCT category, session_id, turn_id FROM events WHERE category IN ('turn', 'session') ORDER BY ALL"
        ) == [("session", "s1", None), ("turn", "s1", "t1"), ("turn", None, "t1")]
        sql.create(3)
        assert sql.rows("SELECT name FROM events ORDER BY position") == [
            ("agent.created",),
            ("session.created",),
            ("session.turn_opened",),
        ]


def test_of_what_was_deleted_there_is_no_content(tmp_path: Path) -> None:
    """The followed tables and rebuilt ones say the same; before the deletion of its session follows too."""
    deletions: list[Happening] = [
        h.agent_deleted("a1"),
        h.session_deleted("s1"),
        h.dataset_unregistered("data/0"),
        h.benchmark_unregistered("bench/a", 2),
    ]
    shown = "SELECT position, name, version, is_erased, event IS NULL FROM events ORDER BY position"
    feed = ListFeed()
    feed.append(*history())
    with user_sql(tmp_path / "followed", feed):
        pass
    feed.append(deletions[0])
    with user_sql(tmp_path / "followed", feed) as sql:
        assert sql.rows(
            "SELECT count(*) FROM events WHERE NOT is_erased AND category IN ('agent', 'turn')"
        ) == [(2,)]
    feed.append(*deletions[1:], h.turn_cancelled("t1", "s1")[0])
    with user_sql(tmp_path / "followed", feed) as sql:
        followed = sql.rows(shown)
        assert sql.rows("SELECT name FROM events WHERE NOT is_erased ORDER BY position") == [
            (name.removesuffix(".1"),) for _, name, _ in deletions
        ]
    streams = {record.stream.removeprefix("default/") for record in feed.read(0, 100)}
    kept = {name for _, name, _ in deletions}
    for name in kept:
        feed.redact({stream for stream in streams if stream.split("/")[0] == name.split(".")[0]}, keep=name)
    feed.redact({stream for stream in streams if stream.startswith(("turn/", "evaljob/"))})
    with user_sql(tmp_path / "rebuilt", feed) as sql:
        assert sql.rows(shown) == followed
    assert [row[0] for row in followed] == list(range(1, feed.head() + 1))


def test_copies_say_when_they_were_recorded(tmp_path: Path) -> None:
    copied = [
        (stream, name, {**payload, "occurred_at": 1_780_000_000_000_000})
        for stream, name, payload in h.turn_opened("t1", "s1", "a1")
        if isinstance(payload, dict)
    ]
    with user_sql(tmp_path, [h.agent_created("a1"), h.session_created("s1", "a1"), *copied]) as sql:
        assert sql.rows(
            "SELECT epoch_us(recorded_at), epoch_us(occurred_at) FROM events ORDER BY position"
        ) == [
            (1_790_000_000_000_001, 1_790_000_000_000_001),
            (1_790_000_000_000_002, 1_790_000_000_000_002),
            (1_790_000_000_000_003, 1_780_000_000_000_000),
            (1_790_000_000_000_004, 1_780_000_000_000_000),
        ]
