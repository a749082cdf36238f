"""The views for users' SQL: the conversations that they show, and what of them is withheld."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from projections.user_views import NAMES
from tests.projections import histories as h
from tests.projections import user_view_history as made
from tests.projections.feeds import ListFeed
from tests.projections.histories import Happening
from tests.projections.user_view_files import UserSql, user_sql

SECRET = "hunter2"


@pytest.fixture(scope="module")
def sql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserSql]:
    with user_sql(tmp_path_factory.mktemp("views"), made.events()) as opened:
        yield opened


def begun(*events: Happening) -> list[Happening]:
    return [h.agent_created("a1"), h.session_created("s1", "a1"), *events]


def shown(sql: UserSql) -> str:
    """All that any view shows, as text."""
    return "\n".join(str(sql.rows(f"SELECT * FROM {name}")) for name in NAMES)


def messages(sql: UserSql, session_id: str = "s1") -> list[tuple[Any, ...]]:
    return sql.rows(
        "SELECT turn_id, role, text FROM messages WHERE session_id = $id ORDER BY ordinal", id=session_id
    )


def test_messages_of_a_session_are_in_order(sql: UserSql) -> None:
    rows = sql.dicts("SELECT * FROM messages WHERE session_id = 's1' AND turn_id = 't1' ORDER BY ordinal")
    assert [(row["ordinal"], row["turn_ordinal"], row["role"], row["text"]) for row in rows] == [
        (1, 1, "user", "Find cats."),
        (2, 2, "assistant", "Searching."),
        (3, 3, "tool", "3 cats"),
        (4, 4, "assistant", "There are 3."),
    ]
    assert (
        rows[1]["tool_calls"] == '[{"call_id":"c1","tool_name":"search","arguments":"{\\"q\\": \\"cats\\"}"}]'
    )
    assert [(row["call_id"], row["tool_name"], row["step_id"]) for row in rows] == [
        (None, None, None),
        (None, None, "t1-a"),
        ("c1", "search", "t1-b"),
        (None, None, "t1-c"),
    ]


def test_a_fork_repeats_the_messages_that_it_shares(sql: UserSql) -> None:
    rows = "SELECT ordinal, turn_id, turn_ordinal FROM messages WHERE session_id = 's2' ORDER BY ordinal"
    assert sql.rows(rows) == [(n, "t1", n) for n in (1, 2, 3, 4)] + [(5, "t2", 1), (6, "t2", 2)]


def test_texts_of_content_in_all_forms(tmp_path: Path) -> None:
    image = {"type": "image", "image": {"data": "aGk="}}
    contents: list[Any] = [
        "plain",
        {"type": "text", "text": "one item"},
        [{"type": "text", "text": "a"}, image, {"type": "text", "text": "b"}],
        [image],
        {"$blob": "ab" * 32, "bytes": 300_000},
        "",
    ]
    (stream, name, payload) = h.turn_opened("t1", "s1", "a1")[1]
    assert isinstance(payload, dict)
    sent = [{"role": "user", "content": content} for content in contents]
    with user_sql(tmp_path, begun((stream, name, {**payload, "input_messages": sent}))) as sql:
        found = [row[0] for row in sql.rows("SELECT text FROM messages ORDER BY ordinal")]
    marker = '{"$blob":"%s","bytes":300000}' % ("ab" * 32)
    assert found == ["plain", "one item", "a\nb", "", marker, ""]


def test_calls_of_the_server_and_of_the_client(tmp_path: Path) -> None:
    own, theirs, later = made.call("c1"), made.call("c2", "book"), made.call("c3", "pay")
    responses = [{"call_id": "c2", "tool_name": "book", "content": "booked"}]
    client = {"step_id": "c", "step_type": "tool_execution"}
    events = begun(
        *h.turn_opened("t1", "s1", "a1"),
        *made.inference("t1", "a", made.asked("", own, theirs)),
        *made.tool_step("t1", "b", [own], ["3 cats"]),
        made.turn("t1", "step_started", **client, attempt=1, tool_calls=[theirs]),
        made.turn("t1", "step_completed", **client, tool_calls=[theirs], tool_responses=responses),
        *made.inference("t1", "d", made.asked("", later)),
    )
    with user_sql(tmp_path, events) as sql:
        columns = "call_id, tool_name, toolgroup, status, content::VARCHAR, is_withheld, step_id"
        assert sql.rows(f"SELECT {columns} FROM tool_calls ORDER BY call_id") == [
            ("c1", "search", "web", "done", '"3 cats"', False, "b"),
            ("c2", "book", None, "done", '"booked"', False, "c"),
            ("c3", "pay", None, "waiting", None, False, None),
        ]


def test_an_approval_waits(sql: UserSql) -> None:
    row = sql.one("SELECT * FROM approvals")
    assert (row["status"], row["call_id"], row["session_id"], row["wait_ms"]) == ("pending", "c2", "s2", None)
    assert row["expires_at"].isoformat() == "2026-09-21T14:15:00"


@pytest.mark.parametrize("how", ["refused", "not judged", "failed"])
def test_input_that_shields_did_not_let_pass_is_not_shown(tmp_path: Path, how: str) -> None:
    judged = {
        "refused": [
            *made.verdict("t1", "v", "user-input", "error"),
            *h.turn_completed("t1", "s1", "Not this."),
        ],
        "not judged": [],
        "failed": [
            *made.verdict("t1", "v", "user-input")[:1],
            made.turn(
                "t1",
                "step_failed",
                step_id="v",
                step_type="shield_call",
                error={"status": 502, "title": "", "detail": ""},
            ),
        ],
    }[how]
    with user_sql(tmp_path, begun(*made.shielded_turn("t1", "s1", "a1", SECRET), *judged)) as sql:
        assert SECRET not in shown(sql)
        said = [("t1", "user", None)] + ([("t1", "assistant", "Not this.")] if how == "refused" else [])
        assert messages(sql) == said
        assert sql.rows("SELECT is_withheld, content FROM messages WHERE role = 'user'") == [(True, None)]


@pytest.mark.parametrize("level", ["", "info", "warn"])
def test_input_that_shields_let_pass_is_shown(tmp_path: Path, level: str) -> None:
    events = [*made.shielded_turn("t1", "s1", "a1", "Hello"), *made.verdict("t1", "v", "user-input", level)]
    with user_sql(tmp_path, begun(*events)) as sql:
        assert messages(sql) == [("t1", "user", "Hello")]
        assert sql.rows("SELECT input_messages->>'$[0].content' FROM turns") == [("Hello",)]
        assert sql.rows("SELECT is_refused, step_type FROM steps") == [(False, "shield_call")]


def tool_turn(*after: Happening, results: Sequence[str] = ("The result is withheld.",)) -> list[Happening]:
    """A turn with input shields, in which a tool has returned the secret."""
    return begun(
        *made.shielded_turn("t1", "s1", "a1", "Look it up."),
        *made.verdict("t1", "v", "user-input"),
        *made.inference("t1", "a", made.asked("", made.call("c1"))),
        *made.tool_step("t1", "b", [made.call("c1")], list(results), raw=[SECRET]),
        *after,
    )


def test_a_refused_result_is_not_shown(tmp_path: Path) -> None:
    refused = [*made.verdict("t1", "w", "tool-result", "error"), *h.turn_completed("t1", "s1", "Not this.")]
    with user_sql(tmp_path, tool_turn(*refused)) as sql:
        assert SECRET not in shown(sql)
        assert sql.rows("SELECT status, content, is_withheld FROM tool_calls") == [("done", None, True)]
        assert [text for _, _, text in messages(sql)] == ["Look it up.", "", None, "Not this."]


def test_a_result_is_not_shown_before_it_is_judged(tmp_path: Path) -> None:
    for number, after in enumerate(
        [
            [],
            made.verdict("t1", "w", "tool-result")[:1],
            # The next step says nothing about the result, and a later one judges another one.
            [*made.inference("t1", "x", h.message("On.")), *made.verdict("t1", "w", "tool-result")],
            [
                made.verdict("t1", "w", "tool-result")[0],
                made.turn(
                    "t1",
                    "step_failed",
                    step_id="w",
                    step_type="shield_call",
                    error={"status": 502, "title": "", "detail": ""},
                ),
            ],
        ]
    ):
        with user_sql(tmp_path / str(number), tool_turn(*after, results=(SECRET,))) as sql:
            assert SECRET not in shown(sql)


def test_a_result_that_passed_is_shown(tmp_path: Path) -> None:
    passed = [
        *made.verdict("t1", "w", "tool-result", "warn"),
        *made.inference("t1", "x", h.message("It is x.")),
    ]
    with user_sql(tmp_path, tool_turn(*passed, results=("x",))) as sql:
        assert [text for _, _, text in messages(sql)] == ["Look it up.", "", "x", "It is x."]
        assert sql.rows("SELECT tool_responses->>'$[0].content' FROM steps WHERE step_id = 'b'") == [("x",)]
        assert sql.rows("SELECT is_withheld FROM tool_calls") == [(False,)]


def test_results_for_code_of_a_tool_are_never_shown_with_input_shields(tmp_path: Path) -> None:
    where = {"call_id": "c1/1", "tool_name": "fetch"}
    inner = [
        made.turn(
            "t1", "tool_called", **where, step_id="b", key="k", toolgroup="web", arguments="{}", parent="c1"
        ),
        made.turn("t1", "tool_returned", **where, status="done", content=SECRET),
    ]
    events = tool_turn(*made.verdict("t1", "w", "tool-result"), results=("x",))
    at = next(n for n, event in enumerate(events) if event[1] == "turn.tool_called.1")
    events[at + 1] = made.turn(
        "t1", "tool_returned", call_id="c1", tool_name="search", status="done", content="x"
    )
    with user_sql(tmp_path, [*events[: at + 1], *inner, *events[at + 1 :]]) as sql:
        assert SECRET not in shown(sql)
        assert sql.rows("SELECT call_id, content::VARCHAR FROM tool_calls ORDER BY 1") == [
            ("c1", '"x"'),
            ("c1/1", None),
        ]


def test_a_refused_answer_is_not_shown(tmp_path: Path) -> None:
    nothing = {"role": "assistant", "content": "", "stop_reason": "end_of_turn"}
    events = begun(
        *h.turn_opened("t1", "s1", "a1"),
        *made.inference("t1", "a", nothing, withheld=h.message(SECRET)),
        *made.verdict("t1", "v", "assistant-output", "error"),
        *h.turn_completed("t1", "s1", "Not this."),
    )
    with user_sql(tmp_path, events) as sql:
        assert SECRET not in shown(sql)
        assert messages(sql) == [("t1", "user", "Hello?"), ("t1", "assistant", "Not this.")]
        assert sql.rows("SELECT input_tokens FROM token_usage") == [(10,)]


def test_refused_passages_are_not_shown(tmp_path: Path) -> None:
    kind = {"step_id": "m", "step_type": "memory_retrieval"}
    events = begun(
        *made.shielded_turn("t1", "s1", "a1", "Hi"),
        *made.verdict("t1", "v", "user-input"),
        made.turn("t1", "step_started", **kind, attempt=1),
        made.turn("t1", "step_completed", **kind, inserted_context=SECRET),
        *made.verdict("t1", "w", "retrieved-text", "error"),
    )
    with user_sql(tmp_path, events) as sql:
        assert SECRET not in shown(sql)


def test_of_deleted_things_nothing_is_shown(tmp_path: Path) -> None:
    events = begun(*h.whole_turn("t1", "s1", "a1"), *h.session_forked("s2", "a1", "s1", ["t1"]))
    feed = ListFeed()
    feed.append(*events, h.agent_deleted("a1"))
    # The deletions of its sessions follow with events of their own.
    with user_sql(tmp_path / "agent", feed) as sql:
        named = ("agents", "sessions", "session_turns", "turns", "steps", "messages", "token_usage")
        assert [sql.rows(f"SELECT * FROM {name}") for name in named] == [[]] * len(named)
    kept = [*events, h.session_deleted("s1", kept=["t1"])]
    with user_sql(tmp_path / "session", kept) as sql:
        assert sql.rows("SELECT session_id FROM sessions") == [("s2",)]
        assert sql.rows("SELECT session_id, ordinal FROM session_turns") == [("s2", 1)]
        assert sql.rows("SELECT turn_id FROM turns") == [("t1",)]
        assert [text for _, _, text in messages(sql, "s2")] == ["What about t1?", "Part 1"]


def test_tokens_of_a_copied_turn_count_once(tmp_path: Path) -> None:
    def copied(events: list[Happening], turn_id: str) -> list[Happening]:
        return [
            (f"turn/{turn_id}", name, {**payload, "occurred_at": 1_790_000_000_000_001})
            for stream, name, payload in events
            if stream.startswith("turn/") and isinstance(payload, dict)
        ]

    first = [*h.turn_opened("t1", "s1", "a1"), *made.inference("t1", "x", h.message("One."))]
    forked = [*h.session_forked("s2", "a1", "s1", []), *copied(first, "t2")]
    events = begun(*first, *forked, *made.inference("t2", "y", h.message("Two.")))
    with user_sql(tmp_path / "both", events) as sql:
        assert sql.rows("SELECT turn_id, step_id FROM token_usage ORDER BY 1") == [("t1", "x"), ("t2", "y")]
        assert sql.rows("SELECT turn_id, is_copy FROM turns ORDER BY 1") == [("t1", False), ("t2", True)]
    only_copy = begun(*copied(first, "t2"))
    with user_sql(tmp_path / "one", only_copy) as sql:
        assert sql.rows("SELECT turn_id, step_id FROM token_usage") == [("t2", "x")]
