"""Evaluation of a benchmark: candidates, requests and results (spec tag: Eval)."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Raw, Struct

from schemas.api.agent import AgentConfig, SamplingParams
from schemas.api.content import InterleavedContent
from schemas.api.scoring import ScoringResult
from schemas.api.scoring_function import ScoringFnParams


class SystemMessage(Struct, frozen=True, tag_field="role", tag="system", forbid_unknown_fields=True):
    """The system message, which precedes all other messages to the model."""

    content: InterleavedContent


class ModelCandidate(
    Struct, frozen=True, tag_field="type", tag="model", omit_defaults=True, forbid_unknown_fields=True
):
    """A model that answers each row on its own."""

    model: str
    sampling_params: SamplingParams
    system_message: SystemMessage | None = None


class AgentCandidate(Struct, frozen=True, tag_field="type", tag="agent", forbid_unknown_fields=True):
    """An agent that answers each row in a separate session."""

    config: AgentConfig


EvalCandidate = ModelCandidate | AgentCandidate


class BenchmarkConfig(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """How a benchmark is run. `scoring_params` maps scoring functions to parameters that apply to this run
    only; `num_examples` limits the number of rows.

    `type` is accepted because existing clients send it; it is never written.
    """

    eval_candidate: EvalCandidate
    scoring_params: dict[str, ScoringFnParams] | None = None
    num_examples: int | None = None
    type: Literal["benchmark"] | None = None


class EvaluateRowsRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Evaluates the given rows. Rows are JSON objects, kept as JSON text."""

    input_rows: list[Raw]
    scoring_functions: list[str]
    benchmark_config: BenchmarkConfig


class RunEvalRequest(Struct, frozen=True, forbid_unknown_fields=True):
    benchmark_config: BenchmarkConfig


class EvaluateResponse(Struct, frozen=True):
    """`generations[i]` and `score_rows[i]` of each function belong to the same row, in row order. For a
    failed row they are `{generated_answer, error}` and `{score: 0, error}`."""

    generations: list[dict[str, Any]]
    scores: dict[str, ScoringResult]
