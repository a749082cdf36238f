"""Aggregates: failed rows count, and values that are not numbers are not converted."""

from __future__ import annotations

from typing import Any

import pytest

from stack.providers.scoring.aggregation import KNOWN, aggregate

FAILED = {"score": 0, "error": "The row has no 'expected_answer'."}


def rows(*scores: Any) -> list[dict[str, Any]]:
    return [{"score": one} for one in scores]


def test_each_stands_under_its_name() -> None:
    found = aggregate(KNOWN, rows(1.0, 0.0, 1.0, 0.0))
    assert found == {
        "accuracy": {"accuracy": 0.5, "num_correct": 2, "num_total": 4},
        "average": {"average": 0.5},
        "median": {"median": 0.5},
        "weighted_average": {"weighted_average": 0.5},
        "categorical_count": {"categorical_count": {"0.0": 2, "1.0": 2}},
    }


def test_failing_never_raises_an_average() -> None:
    whole = aggregate(KNOWN, rows(1.0, 0.0))
    found = aggregate(KNOWN, [*rows(1.0, 0.0), FAILED])
    for name in ("accuracy", "average", "median", "weighted_average"):
        assert found[name][name] <= whole[name][name]
    assert found["accuracy"] == {
        "accuracy": pytest.approx(1 / 3),
        "num_correct": 1,
        "num_total": 3,
        "num_failed": 1,
    }
    assert all(one["num_failed"] == 1 for one in found.values())


def test_a_failed_row_got_no_grade() -> None:
    found = aggregate(["categorical_count"], [*rows("A", "B", "A"), FAILED])
    assert found == {"categorical_count": {"categorical_count": {"A": 2, "B": 1}, "num_failed": 1}}


def test_no_rows_have_no_mean() -> None:
    assert aggregate(KNOWN, []) == {
        "accuracy": {"accuracy": None, "num_correct": 0, "num_total": 0},
        "average": {"average": None},
        "median": {"median": None},
        "weighted_average": {"weighted_average": None},
        "categorical_count": {"categorical_count": {}},
    }


@pytest.mark.parametrize("name", ["accuracy", "average", "median", "weighted_average"])
def test_grades_can_only_be_counted(name: str) -> None:
    found = aggregate([name], [*rows("A", "C", 1), FAILED])[name]
    assert found[name] is None
    assert found["error"].startswith("2 of 4 scores are not numbers, such as 'A'")
    assert "categorical_count" in found["error"] and found["num_failed"] == 1


def test_a_grade_of_seven_is_no_accuracy() -> None:
    found = aggregate(["accuracy", "average"], rows(7, 0, 1))
    assert found["accuracy"]["accuracy"] is None and "not between 0 and 1" in found["accuracy"]["error"]
    assert found["average"]["average"] == pytest.approx(8 / 3)


def test_parts_count_in_part() -> None:
    assert aggregate(["accuracy"], rows(0.5, 1.0))["accuracy"] == {
        "accuracy": 0.75,
        "num_correct": 1.5,
        "num_total": 2,
    }


def test_weights_weigh_and_a_row_without_one_weighs_one() -> None:
    weighted = [{"score": 1.0, "weight": 3.0}, {"score": 0.0, "weight": 1.0}]
    assert aggregate(["weighted_average"], weighted)["weighted_average"] == {"weighted_average": 0.75}
    found = aggregate(["weighted_average"], [*weighted, FAILED])["weighted_average"]
    assert found == {"weighted_average": 0.6, "num_failed": 1}
    nothing = [{"score": 0.0, "weight": 0.0}]
    assert aggregate(["weighted_average"], nothing)["weighted_average"] == {"weighted_average": None}
