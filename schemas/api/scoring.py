"""Scores of rows (spec: `ScoringResult`), and the requests of `/v1/scoring`, which are not part of the specification."""

from __future__ import annotations

from typing import Any

from msgspec import Raw, Struct

from schemas.api.scoring_function import ScoringFnParams


class ScoringResult(Struct, frozen=True):
    """What one function gave: one score row per row, in their order, and its aggregates, each under its name.

    A score row is `{score, ...}`; one that failed is `{score: 0, error}`.
    """

    score_rows: list[dict[str, Any]]
    aggregated_results: dict[str, Any]


class ScoreRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """`input_rows` are JSON objects. `scoring_functions` maps the names of functions to their parameters; null
    stands for the function's own."""

    input_rows: list[Raw]
    scoring_functions: dict[str, ScoringFnParams | None]


class ScoreResponse(Struct, frozen=True):
    results: dict[str, ScoringResult]


class ScoreBatchRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """With `save_results_dataset` the rows and their scores become a dataset of their own."""

    dataset_id: str
    scoring_functions: dict[str, ScoringFnParams | None]
    save_results_dataset: bool | None = None


class ScoreBatchResponse(Struct, frozen=True, omit_defaults=True):
    """`dataset_id` is the dataset that the results were saved as."""

    results: dict[str, ScoringResult]
    dataset_id: str | None = None
