"""Comparison of two jobs of a benchmark, not part of the Llama Stack specification: `GET .../benchmarks/{benchmark_id}/compare`."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from schemas.api.eval import EvalCandidate
from schemas.api.evaljob import JobStatus

RowChange = Literal["better", "worse", "changed"]


class ComparedJob(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One side of a comparison. `dataset_id` and `dataset_version` are absent where rows came with the request."""

    job_id: str
    status: JobStatus
    candidate: EvalCandidate
    num_rows: int
    num_failed: int
    dataset_id: str | None = None
    dataset_version: int | None = None


class Interval(Struct, frozen=True):
    """Where the difference lies with this `confidence`."""

    low: float
    high: float
    confidence: float


class ScoreDifference(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The difference of the mean scores (`b` less `a`) over the `num_rows` rows that have a number in both.

    `method` names how the interval was made: `newcombe` where all scores are 0 or 1 (Newcombe's interval for the
    difference of paired proportions, his method 10 of 1998), else `paired-t` (Student's t over the differences).
    There is no interval over fewer than two rows.
    """

    num_rows: int
    mean_a: float | None = None
    mean_b: float | None = None
    difference: float | None = None
    interval: Interval | None = None
    method: Literal["newcombe", "paired-t"] | None = None


class ComparedRow(Struct, frozen=True, kw_only=True):
    """One row: its score rows and answers in both jobs."""

    row: int
    change: RowChange
    a: dict[str, Any]
    b: dict[str, Any]
    answer_a: str
    answer_b: str


class ComparedFunction(Struct, frozen=True, kw_only=True):
    """How many rows got a higher score (`better`), a lower one (`worse`), another answer or another score that is no
    number (`changed`), or neither (`same`); and some of those that are not the same, the worse ones first.
    `has_more` says that there are more of them than `rows` holds."""

    better: int
    worse: int
    changed: int
    same: int
    scores: ScoreDifference
    rows: list[ComparedRow]
    has_more: bool


class Comparison(Struct, frozen=True, kw_only=True):
    """Rows are paired by number where their input is the same. `other_input` rows have another input in each job,
    since the dataset was registered again; `only_a` and `only_b` were evaluated in one job only."""

    benchmark_id: str
    a: ComparedJob
    b: ComparedJob
    compared: int
    other_input: int
    only_a: int
    only_b: int
    scoring_functions: dict[str, ComparedFunction]
