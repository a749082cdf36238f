"""Costs of inferences in the views for users' SQL, by prices that are not stored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import ValidationError, convert

from projections.user_views.prices import Price
from tests.projections import histories as h
from tests.projections import user_view_history as made
from tests.projections.feeds import ListFeed
from tests.projections.histories import Happening
from tests.projections.user_view_files import UserSql, user_sql

ODD = "local/o'dd?[x]\\*"


def inference(turn_id: str, step: str, model: str, usage: dict[str, int]) -> list[Happening]:
    (stream, name, payload), done = made.inference(turn_id, step, h.message("x"), usage=usage)
    assert isinstance(payload, dict)
    return [(stream, name, {**payload, "model": model}), done]


def usage(input: int, output: int, cached: int | None = None) -> dict[str, int]:
    counts = {"input_tokens": input, "output_tokens": output}
    return counts if cached is None else {**counts, "cached_tokens": cached}


@pytest.fixture(scope="module")
def sql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserSql]:
    events = [
        h.agent_created("a1"),
        h.session_created("s1", "a1"),
        h.session_created("s2", "a1"),
        *h.turn_opened("t1", "s1", "a1"),
        *inference("t1", "t1-a", "cloud/large", usage(1_000_000, 100_000, 400_000)),
        *inference("t1", "t1-b", "cloud/small", usage(1_000_000, 1_000_000)),
        *inference("t1", "t1-c", "other/x", usage(10, 10)),
        *h.turn_completed("t1", "s1"),
        *h.turn_opened("t2", "s2", "a1"),
        *inference("t2", "t2-a", "cloud/large", {"input_tokens": 5}),
        *inference("t2", "t2-b", ODD, usage(1_000_000, 0, 2_000_000)),
        *h.turn_completed("t2", "s2"),
    ]
    with user_sql(tmp_path_factory.mktemp("costs"), events) as opened:
        yield opened


def costs(sql: UserSql, *prices: Price) -> dict[str, Any]:
    sql.create(None, prices)
    return dict(sql.rows("SELECT step_id, round(cost_usd, 9) FROM token_usage"))


def test_without_prices_nothing_has_a_cost(sql: UserSql) -> None:
    assert set(costs(sql).values()) == {None}
    assert sql.rows("SELECT session_id, cost_usd, unpriced_inferences FROM sessions ORDER BY 1") == [
        ("s1", None, 3),
        ("s2", None, 2),
    ]


def test_the_first_price_that_matches_counts(sql: UserSql) -> None:
    large, all_others = Price("cloud/large", 2, 10, 0.5), Price("cloud/*", 1, 3)
    found = costs(sql, large, all_others)
    assert found == {"t1-a": 0.6 * 2 + 0.4 * 0.5 + 1, "t1-b": 4, "t1-c": None, "t2-a": None, "t2-b": None}
    assert costs(sql, all_others, large)["t1-a"] == 1.3


def test_sums_say_what_they_lack(sql: UserSql) -> None:
    costs(sql, Price("cloud/*", 1, 1))
    totals = "SELECT cost_usd, unpriced_inferences FROM {} ORDER BY {}"
    assert sql.rows(totals.format("turns", "turn_id")) == [(1.1 + 2, 1), (None, 2)]
    assert sql.rows(totals.format("sessions", "session_id")) == [(1.1 + 2, 1), (None, 2)]
    assert sql.rows("SELECT step_id, cost_usd FROM steps WHERE cost_usd IS NOT NULL ORDER BY 1") == [
        ("t1-a", 1.1),
        ("t1-b", 2.0),
    ]


@pytest.mark.parametrize("model", [ODD, "local/*", "*", "local/o'dd?[x]*"])
def test_only_stars_are_patterns(sql: UserSql, model: str) -> None:
    # More tokens from the cache than there are: all of them.
    assert costs(sql, Price(model, 5, 7, 1))["t2-b"] == 1


@pytest.mark.parametrize("model", ["local/o'dd[x][x]*", "LOCAL/*", "local/?'dd?[x]\\*", "local"])
def test_other_characters_stand_for_themselves(sql: UserSql, model: str) -> None:
    assert costs(sql, Price(model, 5, 7))["t2-b"] is None


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "", "input_per_million": 1, "output_per_million": 1},
        {"model": "x", "input_per_million": -1, "output_per_million": 1},
        {"model": "x", "input_per_million": 1},
        {"model": "x", "input_per_million": 1, "output_per_million": 1, "currency": "EUR"},
        {"model": "x", "input_per_million": float("nan"), "output_per_million": 1},
    ],
)
def test_other_prices_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        convert(settings, Price)


def test_an_open_turn_is_known_after_a_restart(tmp_path: Path) -> None:
    """The agent and the model of a step that ends are those of earlier events, also if the process that read them ended."""
    started, done = inference("t1", "t1-a", "cloud/large", usage(1, 2, 0))
    feed = ListFeed()
    for part in (
        [h.agent_created("a1"), h.session_created("s1", "a1"), *h.turn_opened("t1", "s1", "a1"), started],
        [done],
    ):
        feed.append(*part)
        with user_sql(tmp_path, feed) as sql:
            rows = sql.rows(
                "SELECT agent_id, agent_version, model, output_tokens, cached_tokens FROM token_usage"
            )
    assert rows == [("a1", 1, "cloud/large", 2, 0)]
