"""Scores of rows (spec: `ScoringResult`) and the requests of `/v1/scoring`, which are not in the
specification."""

from __future__ import annotations

from typing import Any

from msgspec import Raw, Struct

from schemas.api.scoring_function import ScoringFnParams


class ScoringResult(Struct, frozen=True):
    """The results of one function: one score row per input row, in the same order, and its aggregates by
    name.

    A score row is `{score, ...}`, or `{score: 0, error}` if scoring the row failed.
    """

    score_rows: list[dict[str, Any]]
    aggregated_results: dict[str, Any]


class ScoreRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Scores rows. `input_rows` are JSON objects. `scoring_functions` maps names of functions to their
    parameters; null means the function's defaults."""

    input_rows: list[Raw]
    scoring_functions: dict[str, ScoringFnParams | None]


class ScoreResponse(Struct, frozen=True):
    results: dict[str, ScoringResult]


class ScoreBatchRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Scores a dataset. With `save_results_dataset` the rows and their scores are saved as a new dataset."""

    dataset_id: str
    scoring_functions: dict[str, ScoringFnParams | None]
    save_results_dataset: bool | None = None


class ScoreBatchResponse(Struct, frozen=True, omit_defaults=True):
    """`dataset_id` is the dataset in which the results were saved."""

    results: dict[str, ScoringResult]
    dataset_id: str | None = None
