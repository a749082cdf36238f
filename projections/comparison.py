"""Comparison of two evaluation jobs row by row, computed in the database: jobs may have millions of rows."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from msgspec.json import Decoder

from projections.warehouse.plan import ReadModel
from projections.warehouse.reader import Reader, Row, window
from schemas.api.comparison import ComparedRow
from schemas.events.evaljob import Generation

READ_MODEL = ReadModel(
    name="comparison",
    views=("evaljob_pairs",),
    queries=("comparison_coverage", "comparison_summary", "comparison_rows"),
)


class Coverage(Struct, frozen=True):
    """Numbers of rows: evaluated in both jobs with the same input, in both with different input, in the first
    only, in the second only."""

    compared: int
    other_input: int
    only_a: int
    only_b: int


class Summary(Struct, frozen=True):
    """Numbers of rows by kind of change; then, for the rows with a numeric score in both jobs: their number,
    the means, the mean and the squared distances of the differences, whether all scores are 0 or 1, and how
    many are 1 in both jobs, in the first only, in the second only."""

    better: int
    worse: int
    changed: int
    same: int
    count: int
    mean_a: float | None
    mean_b: float | None
    mean: float | None
    squares: float
    binary: bool
    both: int
    first: int
    second: int


_generation = Decoder(Generation)
_score_row = Decoder(dict[str, Any])


def coverage(reader: Reader, benchmark_id: str, job_a: str, job_b: str) -> Coverage:
    [row] = reader.read("comparison_coverage", _jobs(benchmark_id, job_a, job_b))
    return Coverage(*row)


def summary(reader: Reader, benchmark_id: str, job_a: str, job_b: str, function: str) -> Summary:
    params = _jobs(benchmark_id, job_a, job_b) | {"scoring_function": function}
    [row] = reader.read("comparison_summary", params)
    return Summary(*row)


def rows(
    reader: Reader, benchmark_id: str, job_a: str, job_b: str, function: str, limit: int
) -> tuple[list[ComparedRow], bool]:
    """Returns at most `limit` rows that are not the same, worse ones first, and whether there are more."""
    offset, row_count = window(0, limit)
    params = _jobs(benchmark_id, job_a, job_b) | {
        "scoring_function": function,
        "start_index": offset,
        "row_count": row_count,
    }
    found = reader.read("comparison_rows", params)
    return [_row(reader, row) for row in found[:limit]], len(found) > limit


def _jobs(benchmark_id: str, job_a: str, job_b: str) -> dict[str, Any]:
    return {"benchmark_id": benchmark_id, "job_a": job_a, "job_b": job_b}


def _row(reader: Reader, row: Row) -> ComparedRow:
    number, change, score_a, score_b, generation_a, generation_b = row
    answers = [_generation.decode(reader.hydrate(one.encode())) for one in (generation_a, generation_b)]
    return ComparedRow(
        row=number,
        change=change,
        a=_score_row.decode(reader.hydrate(score_a.encode())),
        b=_score_row.decode(reader.hydrate(score_b.encode())),
        answer_a=answers[0].generated_answer,
        answer_b=answers[1].generated_answer,
    )
