"""The views for users' SQL: their headers, their columns, and what they show and do not show."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest

from projections.user_views import NAMES, parsed, user_views
from tests.projections import user_view_history, user_view_page
from tests.projections.user_view_files import UserSql, user_sql


@pytest.fixture(scope="module")
def sql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserSql]:
    folder = tmp_path_factory.mktemp("views")
    with user_sql(folder, user_view_history.events(), user_view_history.requests()) as opened:
        yield opened


@pytest.mark.parametrize("name", NAMES)
def test_the_header_is_what_the_database_says(sql: UserSql, name: str) -> None:
    described = [(row[0], row[1]) for row in sql.rows(f"DESCRIBE {name}")]
    assert [(column.name, column.type) for column in user_views()[name].columns] == described


@pytest.mark.parametrize("name", NAMES)
def test_every_view_has_rows(sql: UserSql, name: str) -> None:
    assert sql.rows(f"SELECT * FROM {name}")


@pytest.mark.parametrize("name", NAMES)
def test_columns_have_the_types_of_their_names(name: str) -> None:
    for column in user_views()[name].columns:
        assert not column.name.endswith("_id") or column.type == "VARCHAR", column
        assert column.name.endswith("_at") == (column.type == "TIMESTAMP"), column
        assert column.type != "TIMESTAMP" or column.unit == "UTC", column
        assert not column.name.endswith("_tokens") or (column.type, column.unit) == ("BIGINT", "tokens"), (
            column
        )
        assert not column.name.endswith("_ms") or (column.type, column.unit) in (
            ("DOUBLE", "ms"),
            ("BIGINT", "ms"),
        ), column
        assert not column.name.endswith("_usd") or (column.type, column.unit) == ("DOUBLE", "US dollars"), (
            column
        )
        assert not column.name.startswith(("is_", "has_")) or column.type == "BOOLEAN", column
        assert column.description.endswith("."), column


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1;",
        "-- A view.\n\nSELECT 1",
        "-- A view.\n--   id | VARCHAR | | The id.\nSELECT 1",
        "-- A view.\n--   id | VARCHAR | The id.\n\nSELECT 1",
        "-- A view.\n--   id | varchar | | The id.\n\nSELECT 1",
        "--   id | VARCHAR | | The id.\n\nSELECT 1",
    ],
)
def test_a_header_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"wrong\.sql"):
        parsed("wrong", text)


def test_a_description_may_have_several_lines() -> None:
    view = parsed(
        "v", "-- A view.\n-- Of two.\n--   n | BIGINT | ms | The\n--      number.\n\nSELECT 1 AS n;\n"
    )
    assert (view.description, view.sql) == ("A view. Of two.", "SELECT 1 AS n")
    assert [(c.name, c.unit, c.description) for c in view.columns] == [("n", "ms", "The number.")]


def test_a_fork_has_the_turns_that_it_shares(sql: UserSql) -> None:
    turns = "SELECT turn_id, ordinal, is_shared FROM session_turns WHERE session_id = $id ORDER BY ordinal"
    assert sql.rows(turns, id="s1") == [("t1", 1, False), ("t3", 2, False)]
    assert sql.rows(turns, id="s2") == [("t1", 1, True), ("t2", 2, False)]
    counts = "SELECT session_id, turn_count, shared_turn_count, parent_session_id FROM sessions ORDER BY ALL"
    assert sql.rows(counts) == [("s1", 2, 0, None), ("s2", 2, 1, "s1")]


def test_tokens_of_a_shared_turn_count_once(sql: UserSql) -> None:
    assert sql.rows("SELECT step_id, session_id, input_tokens FROM token_usage ORDER BY ALL") == [
        ("t1-a", "s1", 10),
        ("t1-c", "s1", 10),
        ("t2-a", "s2", 10),
    ]
    assert sql.one(
        "SELECT any_value(provider) AS p, any_value(model) AS m, any_value(day)::VARCHAR AS d FROM token_usage"
    ) == {
        "p": "demo",
        "m": "demo/extractive",
        "d": "2026-09-21",
    }


def test_turns_have_a_status_and_times(sql: UserSql) -> None:
    rows = sql.dicts("SELECT * FROM turns ORDER BY turn_id")
    assert [row["status"] for row in rows] == ["completed", "awaiting_input", "failed"]
    assert rows[0]["started_at"] == datetime(2026, 9, 21, 14, 13, 20, 5)
    assert rows[0]["duration_ms"] == 0.009
    assert (rows[0]["input_tokens"], rows[0]["completed_steps"], rows[2]["failed_steps"]) == (20, 3, 1)
    assert (rows[2]["error_status"], rows[2]["error_detail"]) == (502, "The model went away.")
    assert rows[1]["output_message"] is None


def test_earlier_positions_show_what_was_recorded_then(sql: UserSql) -> None:
    try:
        sql.create(4)
        assert sql.rows("SELECT session_id, turn_count FROM sessions") == [("s1", 0)]
        assert sql.rows("SELECT * FROM turns") == []
        assert sql.rows("SELECT version FROM agents") == [(2,)]
        sql.create(1)
        assert sql.rows("SELECT version FROM agents") == [(1,)]
        assert len(sql.rows("SELECT * FROM spans")) == 2
    finally:
        sql.create(None)


def test_ids_of_spans_are_hex_texts(sql: UserSql) -> None:
    row = sql.one("SELECT * FROM spans WHERE name = 'chat'")
    assert (row["trace_id"], row["span_id"], row["parent_span_id"]) == (
        f"{0x11:032x}",
        f"{2:016x}",
        f"{1:016x}",
    )
    assert (row["service_name"], row["session_id"], row["input_tokens"], row["status"]) == (
        "shop",
        "s1",
        7,
        "error",
    )


def test_the_page_of_the_views_is_up_to_date() -> None:
    """If it fails: `.venv/bin/python -m tests.projections.user_view_page` writes the page."""
    assert user_view_page.PATH.read_text() == user_view_page.text()
