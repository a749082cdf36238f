"""The named queries over the views for users' SQL, on a generated history whose answers are known."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from projections.user_views.prices import Price
from projections.user_views.queries import NAMES, parsed, user_queries
from tests.projections import histories as h
from tests.projections import user_view_history as made
from tests.projections.histories import Happening
from tests.projections.user_view_files import UserSql, user_sql

GIVEN: dict[str, dict[str, Any]] = {
    "version_changes": {"agent_id": "a1"},
    "first_divergence": {"session_a": "s1", "session_b": "s2"},
    "eval_score_by_slice": {"benchmark_id": "bench", "job_a": "1", "job_b": "2"},
    "rows_that_flip": {"benchmark_id": "bench", "job_a": "1", "job_b": "2"},
}
ANSWERS: dict[str, list[tuple[Any, ...]]] = {
    # agent, name, model, inferences, tokens in, out, cached, dollars, unpriced
    "costs": [("a1", "a1", "demo/extractive", 6, 1300, 19, 0, 14.9, 0)],
    # session, name, agent, inferences, tokens in, out, dollars, unpriced
    "dearest_sessions": [
        ("s2", "About s2", "a1", 4, 1000, 16, 11.6, 0),
        ("s1", "About s1", "a1", 2, 300, 3, 3.3, 0),
    ],
    "loops": [("t3", "s2", "a1", "search", '{"q": "x"}', 3)],
    # tool, group, calls, median, 95 %, longest
    "slowest_tools": [("search", "web", 4, 0.001, 0.001, 0.001)],
    # agent, version, tool, calls, failed, denied, unknown, share
    "tool_errors_by_version": [
        ("a1", 2, "search", 3, 1, 0, 0, 1 / 3),
        ("a1", 1, "search", 1, 0, 0, 0, 0.0),
        ("a1", 1, "send", 1, 0, 0, 0, 0.0),
    ],
    "time_to_first_token": [("demo", "demo/extractive", 6, 25.0, 77.5, 90)],
    # session, inferences, first, largest, last, growth
    "context_growth": [("s2", 4, 100, 400, 400, 300), ("s1", 2, 100, 200, 200, 100)],
    # turn, session, agent, status, restarts, resumes, failed steps
    "continued_turns": [
        ("t4", "s1", "a1", "awaiting_input", 0, 0, 1),
        ("t2", "s1", "a1", "running", 1, 0, 0),
    ],
    "waiting_approvals": [("ask-1", "pending", "approval", "a1", "s1", "t4", "send", "{}")],
    # path, change, before, after
    "version_changes": [("$.instructions", "changed", "Be a1.", "Be kind.")],
    # ordinal, what, turns, roles, texts, calls
    "first_divergence": [(1, "text", "t1", "t3", "user", "user", "12345678", "12345", None, None)],
    # slice, function, rows, failed, scored, means, difference, interval
    "eval_score_by_slice": [
        ("easy", "basic::equality", 2, 0, 0, 2, 1.0, 0.5, -0.5, -0.905, 0.273),
        ("hard", "basic::equality", 1, 0, 0, 1, 0.0, 1.0, 1.0, None, None),
    ],
    "rows_that_flip": [
        (0, "basic::equality", "worse", 1.0, 0.0, "A", "B"),
        (1, "basic::equality", "better", 0.0, 1.0, "A", "A"),
    ],
    # session, characters of tools, characters, share
    "tool_result_share": [("s2", 30, 40, 0.75), ("s1", 6, 36, 1 / 6)],
    "shield_hits": [
        ("a1", "user-input", "warn", False, 2, 1),
        ("a1", "assistant-output", "error", True, 1, 1),
    ],
}
TIMES = {
    "day",
    "first_called_at",
    "requested_at",
    "expires_at",
    "started_at",
    "last_hit_at",
    "last_found_at",
    "first_at",
    "newest_at",
    "duration_ms",
}


def inference(
    turn_id: str, step: str, output: Any, tokens: tuple[int, int], first_ms: int
) -> list[Happening]:
    usage = dict(zip(("input_tokens", "output_tokens"), tokens, strict=True))
    trace = {"lengths": [1], "delays_ms": [first_ms]}
    return made.inference(turn_id, f"{turn_id}-{step}", output, usage=usage, trace=trace)


def history() -> list[Happening]:
    call = made.call("c0")
    loop = [made.call(f"c{n}", arguments='{"q": "x"}') for n in (1, 2, 3)]
    looping = made.tool_step("t3", "t3-t", loop, ["0123456789"] * 3)
    # The second of these calls failed.
    returned = [event for event in looping if event[1] == "turn.tool_returned.1"][1][2]
    assert isinstance(returned, dict)
    returned["status"] = "failed"
    send = made.call("c9", "send", "{}")
    asked = {"kind": "approval", "toolgroup": "mail", "digest": "d", "deadline": 1_790_000_100_000_000}
    waiting = {"request_id": "ask-1", **send, **asked}
    sending = {"step_id": "t4-t", "step_type": "tool_execution", "attempt": 1, "tool_calls": [send]}
    called = {"step_id": "t4-t", "key": "k9", "toolgroup": "mail", **send}
    rows = [{"category": "easy"}, {"category": "hard"}, {"category": "easy"}, {"category": "hard"}]
    chunk = {"count": 4, "bytes": 80, "blob": "", "rows": rows}
    return [
        h.agent_created("a1"),
        h.agent_updated("a1", "Be kind."),
        h.session_created("s1", "a1"),
        h.session_created("s2", "a1"),
        *h.turn_opened("t1", "s1", "a1", "12345678"),
        *inference("t1", "a", made.asked("", call), (100, 1), 10),
        *made.tool_step("t1", "t1-t", [call], ["3 cats"]),
        *inference("t1", "b", h.message("12345678"), (200, 2), 20),
        *h.turn_completed("t1", "s1"),
        *h.turn_opened("t2", "s1", "a1", "1234567"),
        h.turn_restarted("t2", 2),
        *made.shielded_turn("t3", "s2", "a1", "12345"),
        *made.verdict("t3", "t3-v", "user-input", "warn"),
        *made.verdict("t3", "t3-w", "user-input", "warn"),
        *inference("t3", "a", made.asked("", *loop), (100, 4), 20),
        *looping,
        *made.verdict("t3", "t3-x", "tool-result"),
        *inference(
            "t3",
            "b",
            made.asked(
                "12",
            ),
            (200, 4),
            30,
        ),
        *inference("t3", "c", h.message("345"), (300, 4), 40),
        *inference("t3", "d", h.message(""), (400, 4), 90),
        *made.verdict("t3", "t3-y", "assistant-output", "error"),
        *h.turn_opened("t4", "s1", "a1", "1234567"),
        h.step_started("t4", "t4-f"),
        h.step_failed("t4", "t4-f"),
        made.turn("t4", "step_started", **sending),
        made.turn("t4", "tool_called", **called),
        made.turn("t4", "input_requested", **waiting),
        made.turn("t4", "awaiting_input", output_message=made.asked("", send)),
        h.dataset_registered("data/0", 4, chunks=[chunk]),
        h.benchmark_registered("bench"),
        *h.job_scheduled("bench", "1", 4),
        *[h.row_evaluated("bench", "1", row, score=row % 2 == 0) for row in (0, 1, 2)],
        h.row_evaluated("bench", "1", 3, error="The model went away."),
        *h.job_scheduled("bench", "2", 4),
        h.row_evaluated("bench", "2", 0, score=False, answer="B"),
        *[h.row_evaluated("bench", "2", row, score=True) for row in (1, 2)],
    ]


def answer(sql: UserSql, name: str, **given: Any) -> list[tuple[Any, ...]]:
    """The rows of a named query, without the columns of times."""
    query = user_queries()[name]
    values = {one.name: one.default for one in query.parameters if one.default is not None}
    rows = sql.dicts(query.sql, **(values | given))
    return [tuple(value for column, value in row.items() if column not in TIMES) for row in rows]


@pytest.fixture(scope="module")
def sql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserSql]:
    with user_sql(tmp_path_factory.mktemp("queries"), history()) as opened:
        opened.create(None, [Price("demo/*", 1e4, 1e5)])
        yield opened


@pytest.mark.parametrize("name", ANSWERS)
def test_the_answer_is_the_known_one(sql: UserSql, name: str) -> None:
    found = answer(sql, name, **GIVEN.get(name, {}))
    assert found == [
        pytest.approx(row, abs=5e-4) if any(isinstance(x, float) for x in row) else row
        for row in ANSWERS[name]
    ]


@pytest.mark.parametrize("name", NAMES)
def test_the_header_names_the_parameters(name: str) -> None:
    query = user_queries()[name]
    used = re.findall(r"(?<!')\$(\w+)", query.sql)
    assert sorted(set(used)) == sorted(one.name for one in query.parameters)
    assert query.description.endswith(".")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1;",
        "-- A query.\nSELECT 1",
        "-- A query.\n--   $n | BIGINT | The number.\n\nSELECT $n",
        "-- A query.\n--   $n | DATE | | | The day.\n\nSELECT $n",
    ],
)
def test_a_header_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"wrong\.sql"):
        parsed("wrong", text)
