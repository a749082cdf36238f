"""More named queries over the views for users' SQL: lineage, citations, caches, error budgets, and slices of evaluations."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from projections.user_views.queries import NAMES
from stack.domain.comparison import PairedScores, difference
from tests.projections import histories as h
from tests.projections import test_user_queries as others
from tests.projections import user_view_history as made
from tests.projections.histories import Happening
from tests.projections.test_user_queries import answer
from tests.projections.user_view_files import UserSql, user_sql

VALUE = 'the "Zürich" code'
ARGUMENTS = '{"q": "the \\"Zürich\\" code"}'
TESTED_HERE = {"uncited_documents", "who_saw", "table_contents", "cache_share", "error_budgets"}


def inference(turn_id: str, step: str, text: str, cached: int | None, model: str = "") -> list[Happening]:
    usage = {"input_tokens": 100, "output_tokens": 10}
    usage |= {} if cached is None else {"cached_tokens": cached}
    (stream, name, payload), done = made.inference(turn_id, step, h.message(text), usage=usage)
    assert isinstance(payload, dict)
    return [(stream, name, payload | ({"model": model} if model else {})), done]


def found_documents(turn_id: str, step: str, *documents: str) -> list[Happening]:
    """A tool execution that found these documents."""
    call = made.call(f"{step}-c", "knowledge_search", ARGUMENTS if step == "t1-s" else "{}")
    *events, (stream, name, payload) = made.tool_step(turn_id, step, [call], ["text"])
    assert isinstance(payload, dict)
    sources = [
        {"document_id": one, "vector_db_id": "docs", "start": 0, "end": 9, "score": 1.0} for one in documents
    ]
    payload["tool_responses"][0]["metadata"] = {"sources": sources}
    return [*events, (stream, name, payload)]


def history() -> list[Happening]:
    return [
        h.agent_created("a1"),
        h.session_created("s1", "a1"),
        *h.turn_opened("t0", "s1", "a1", "Hello."),
        *inference("t0", "t0-a", "Hi.", None),
        *h.turn_completed("t0", "s1", "Hi."),
        *h.turn_opened("t1", "s1", "a1", f"What is {VALUE}?"),
        *inference("t1", "t1-a", "Searching.", 20),
        *found_documents("t1", "t1-s", "guides/cited.md", "by-name.md", "never.md"),
        *inference("t1", "t1-b", "See.", 80),
        *h.turn_completed("t1", "s1", "See guides/cited.md and by-name.md."),
        *h.session_forked("s2", "a1", "s1", ["t0", "t1"]),
        *h.turn_opened("t2", "s2", "a1", "And then?"),
        *found_documents("t2", "t2-s", "never.md", "never.md", "once.md"),
        *inference("t2", "t2-a", "Nothing.", None, "cloud/large"),
        *h.turn_failed("t2", "s2"),
        h.agent_created("a2"),
        h.session_created("s3", "a2"),
        *h.whole_turn("t3", "s3", "a2"),
        h.dataset_registered(
            "data/0", 1, chunks=[{"count": 1, "bytes": 9, "blob": "", "rows": [{"q": VALUE}]}]
        ),
    ]


@pytest.fixture(scope="module")
def sql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserSql]:
    with user_sql(tmp_path_factory.mktemp("answers"), history()) as opened:
        yield opened


def test_every_query_has_a_known_answer() -> None:
    assert {*others.ANSWERS, *TESTED_HERE} == set(NAMES)


def test_documents_that_no_answer_cites(sql: UserSql) -> None:
    # agent, collection, document, searches, turns
    assert answer(sql, "uncited_documents") == [
        ("a1", "docs", "never.md", 2, 2),
        ("a1", "docs", "once.md", 1, 1),
    ]


def test_where_a_value_went(sql: UserSql) -> None:
    # kind, name, session, times
    found = sorted(answer(sql, "who_saw", value=VALUE), key=str)
    assert found == [
        ("caller", "", "s1", 1),
        ("caller", "", "s2", 2),
        ("dataset", "dataset/data/0", None, 1),
        ("model", "cloud/large", "s2", 1),
        ("model", "demo/extractive", "s1", 2),
        ("model", "demo/extractive", "s2", 2),
        ("session", "s1", "s1", 1),
        ("session", "s2", "s2", 2),
        ("tool", "knowledge_search", "s1", 1),
        ("tool", "knowledge_search", "s2", 1),
    ]
    assert answer(sql, "who_saw", value="nobody knows this") == []


def test_what_the_views_held_at_a_time(sql: UserSql) -> None:
    now = dict(answer(sql, "table_contents"))
    assert (now["agents"], now["sessions"], now["turns"], now["events"]) == (2, 3, 4, len(history()))


def test_the_share_of_cached_input(sql: UserSql) -> None:
    # agent, model, inferences, those that say, tokens, cached tokens, share
    assert answer(sql, "cache_share") == [
        ("a1", "demo/extractive", 3, 2, 200, 100, 0.5),
        ("a1", "cloud/large", 1, 0, 0, 0, None),
        ("a2", "demo/extractive", 1, 0, 0, 0, None),
    ]


def test_error_budgets(sql: UserSql) -> None:
    # agent, period, turns, failed, share, burn rate, budget left
    found = answer(sql, "error_budgets", until="2026-09-21 15:00:00", allowed_share=0.5)
    assert [row for row in found if row[1] == "1 hour"] == [
        ("a1", "1 hour", 3, 1, pytest.approx(1 / 3), pytest.approx(2 / 3), pytest.approx(1 / 3)),
        ("a2", "1 hour", 1, 0, 0.0, 0.0, 1.0),
    ]
    later = answer(sql, "error_budgets", until="2026-09-21 18:00:00", allowed_share=0.5)
    assert {row[1] for row in later} == {"6 hours", "3 days", "30 days"}
    assert answer(sql, "error_budgets", until="2026-09-21 14:00:00") == []


@pytest.mark.parametrize("kind", ["binary", "graded", "same", "many"])
def test_intervals_by_slice_are_those_of_a_comparison(tmp_path: Path, kind: str) -> None:
    made_of = random.Random(kind)
    count = 90 if kind == "many" else 24
    slices = [made_of.choice(("easy", "hard")) for _ in range(count)]
    values: dict[str, list[Any]] = {
        "binary": [0, 1],
        "same": [1],
        "many": [0, 0.5, 1],
        "graded": [0, 0.25, 1, 3],
    }
    scores = {job: [made_of.choice(values[kind]) for _ in range(count)] for job in ("1", "2")}
    chunk = {"count": count, "bytes": 9, "blob": "", "rows": [{"category": one} for one in slices]}
    events = [
        h.dataset_registered("data/0", count, chunks=[chunk]),
        h.benchmark_registered("bench"),
        *[event for job in scores for event in h.job_scheduled("bench", job, count)],
        *[
            h.row_evaluated("bench", job, row, score)
            for job in scores
            for row, score in enumerate(scores[job])
        ],
    ]
    with user_sql(tmp_path, events) as sql:
        found = {
            row[0]: row[5:]
            for row in answer(sql, "eval_score_by_slice", benchmark_id="bench", job_a="1", job_b=2)
        }
    assert set(found) == {"easy", "hard"}
    for slice, (scored, *numbers) in found.items():
        pairs = [(a, b) for a, b, one in zip(*scores.values(), slices, strict=True) if one == slice]
        expected = difference(_paired(pairs))
        assert expected.interval is not None
        low, high = expected.interval.low, expected.interval.high
        assert scored == len(pairs)
        assert numbers == pytest.approx([expected.mean_a, expected.mean_b, expected.difference, low, high])


def _paired(pairs: list[tuple[float, float]]) -> PairedScores:
    n = len(pairs)
    mean = sum(b - a for a, b in pairs) / n
    return PairedScores(
        count=n,
        mean_a=sum(a for a, _ in pairs) / n,
        mean_b=sum(b for _, b in pairs) / n,
        mean=mean,
        squares=sum((b - a - mean) ** 2 for a, b in pairs),
        binary=all(one in (0, 1) for pair in pairs for one in pair),
        both=pairs.count((1, 1)),
        first=pairs.count((1, 0)),
        second=pairs.count((0, 1)),
    )
