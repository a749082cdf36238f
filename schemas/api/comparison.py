"""Comparison of two jobs of a benchmark, not part of the Llama Stack specification: `GET .../benchmarks/{benchmark_id}/compare`."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from schemas.api.eval import EvalCandidate
from schemas.api.evaljob import JobStatus

RowChange = Literal["better", "worse", "changed"]


class ComparedJob(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One side of a comparison. `dataset_id` and `dataset_version` are absent if the rows were sent with the
    request."""

    job_id: str
    status: JobStatus
    candidate: EvalCandidate
    num_rows: int
    num_failed: int
    dataset_id: str | None = None
    dataset_version: int | None = None


class Interval(Struct, frozen=True):
    """The confidence interval of the difference. `confidence` is between 0 and 1."""

    low: float
    high: float
    confidence: float


class ScoreDifference(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The difference of the mean scores (`b` minus `a`) over the `num_rows` rows that have a numeric score in
    both jobs.

    `method` names the method of the interval: `newcombe` if all scores are 0 or 1 (Newcombe's interval for
    the difference of paired proportions, method 10 of his 1998 paper), otherwise `paired-t` (Student's t over
    the differences). There is no interval for fewer than two rows.
    """

    num_rows: int
    mean_a: float | None = None
    mean_b: float | None = None
    difference: float | None = None
    interval: Interval | None = None
    method: Literal["newcombe", "paired-t"] | None = None


class ComparedRow(Struct, frozen=True, kw_only=True):
    """One row, with its scores and answers in both jobs."""

    row: int
    change: RowChange
    a: dict[str, Any]
    b: dict[str, Any]
    answer_a: str
    answer_b: str


class ComparedFunction(Struct, frozen=True, kw_only=True):
    """The comparison for one scoring function.

    The counts give the rows with a higher score in `b` (`better`), with a lower one (`worse`), with a
    different answer or a different non-numeric score (`changed`), and the remaining rows (`same`). `rows`
    holds some of the rows that are not the same, worse ones first; `has_more` is true if there are more of
    them.
    """

    better: int
    worse: int
    changed: int
    same: int
    scores: ScoreDifference
    rows: list[ComparedRow]
    has_more: bool


class Comparison(Struct, frozen=True, kw_only=True):
    """A comparison of two jobs. Rows are paired by row number if their input is the same.

    `other_input` counts the rows whose input differs between the jobs because the dataset was registered
    again; `only_a` and `only_b` count the rows that were evaluated in one job only.
    """

    benchmark_id: str
    a: ComparedJob
    b: ComparedJob
    compared: int
    other_input: int
    only_a: int
    only_b: int
    scoring_functions: dict[str, ComparedFunction]
