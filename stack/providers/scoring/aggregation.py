"""Aggregates the scores of rows.

A failed row has `error` and the score 0: it counts in the total, so that failures never raise an average, and
in `num_failed`, which is present if it is greater than 0. Over no rows, a mean is null. Scores that are not
numbers (the grades A, B, C of a judge) can only be counted: any other aggregate of them is null with an
`error` that explains this.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, get_args

from schemas.api.scoring_function import AggregationFunctionType

KNOWN: tuple[str, ...] = get_args(AggregationFunctionType)

Scores = Sequence[Mapping[str, Any]]


def aggregate(functions: Iterable[str], rows: Scores) -> dict[str, Any]:
    """Returns the result of each function by its name."""
    failed = sum("error" in row for row in rows)
    counted = {"num_failed": failed} if failed else {}
    return {name: FUNCTIONS[name](rows) | counted for name in functions}


def accuracy(rows: Scores) -> dict[str, Any]:
    """The sum of scores from 0 to 1 divided by their number: a partially correct row counts in part."""
    counts = {"num_total": len(rows)}
    problem = _problem(rows) or _beyond(rows)
    if problem:
        return {"accuracy": None, "num_correct": None} | counts | {"error": problem}
    correct = sum(row["score"] for row in rows)
    whole = int(correct) if correct == int(correct) else correct
    return {"accuracy": correct / len(rows) if rows else None, "num_correct": whole} | counts


def average(rows: Scores) -> dict[str, Any]:
    return _of_numbers("average", rows, lambda scores: sum(scores) / len(scores))


def median(rows: Scores) -> dict[str, Any]:
    return _of_numbers("median", rows, statistics.median)


def weighted_average(rows: Scores) -> dict[str, Any]:
    """The mean of the scores weighted by the `weight` of their rows, 1 for a row without one."""
    weights = [row.get("weight", 1.0) for row in rows]
    total = sum(weights)
    if not total:
        return {"weighted_average": None}

    def mean(scores: Sequence[float]) -> float:
        return float(sum(score * weight for score, weight in zip(scores, weights, strict=True)) / total)

    return _of_numbers("weighted_average", rows, mean)


def categorical_count(rows: Scores) -> dict[str, Any]:
    """Counts the rows for each score, with scores as text. A failed row has none."""
    counts = Counter(str(row["score"]) for row in rows if "error" not in row)
    return {"categorical_count": dict(sorted(counts.items()))}


FUNCTIONS: dict[str, Callable[[Scores], dict[str, Any]]] = {
    "accuracy": accuracy,
    "average": average,
    "median": median,
    "categorical_count": categorical_count,
    "weighted_average": weighted_average,
}


def _of_numbers(name: str, rows: Scores, mean: Callable[[Sequence[float]], float]) -> dict[str, Any]:
    problem = _problem(rows)
    if problem:
        return {name: None, "error": problem}
    return {name: mean([row["score"] for row in rows]) if rows else None}


def _problem(rows: Scores) -> str:
    other = [row["score"] for row in rows if not isinstance(row["score"], int | float)]
    if not other:
        return ""
    return (
        f"{len(other)} of {len(rows)} scores are not numbers, such as {str(other[0])[:40]!r}; "
        "categorical_count counts them."
    )


def _beyond(rows: Scores) -> str:
    beyond = [row["score"] for row in rows if not 0 <= row["score"] <= 1]
    if not beyond:
        return ""
    return f"{len(beyond)} of {len(rows)} scores are not between 0 and 1, such as {beyond[0]}; use average or median."
