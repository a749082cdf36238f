"""Compares two jobs of a benchmark that have ended: row by row, and their mean scores."""

from __future__ import annotations

from projections import comparison as comparison_views
from projections import wire
from projections.comparison import Summary
from projections.evaljob import JobView
from schemas.api.comparison import ComparedFunction, ComparedJob, Comparison
from stack.domain.comparison import PairedScores, difference
from stack.errors import Conflict, Invalid
from stack.services.evals.evaljob import READ, EvalJobService
from stack.services.views import Views


class ComparisonService:
    def __init__(self, views: Views, jobs: EvalJobService) -> None:
        self._views = views
        self._jobs = jobs

    async def compare(
        self, benchmark_id: str, job_a: str, job_b: str, limit: int, as_of: int | None = None
    ) -> Comparison:
        """Compares job b with job a, with at most `limit` rows for each function with which both were scored. Rows of
        a job come before its end, so they are the same whenever it has ended. Raises NotFound, Conflict for a job that has not ended, Invalid if no function is in both."""
        a, b = [await self._ended(benchmark_id, job_id, as_of) for job_id in (job_a, job_b)]
        functions = [name for name in a.scoring_functions if name in b.scoring_functions]
        if not functions:
            raise Invalid(
                f"Jobs {job_a!r} and {job_b!r} have no scoring function in common "
                f"({', '.join(a.scoring_functions) or 'none'}; {', '.join(b.scoring_functions) or 'none'})."
            )
        place = (benchmark_id, job_a, job_b)
        coverage = await self._views.read(READ, comparison_views.coverage, *place)
        return Comparison(
            benchmark_id=benchmark_id,
            a=_side(a),
            b=_side(b),
            compared=coverage.compared,
            other_input=coverage.other_input,
            only_a=coverage.only_a,
            only_b=coverage.only_b,
            scoring_functions={name: await self._function(place, name, limit) for name in functions},
        )

    async def _ended(self, benchmark_id: str, job_id: str, as_of: int | None) -> JobView:
        view = await self._jobs.view(benchmark_id, job_id, as_of)
        if not view.has_ended:
            raise Conflict(
                f"Job {job_id!r} is {view.outcome.status}; only jobs that have ended are compared."
            )
        return view

    async def _function(self, place: tuple[str, str, str], name: str, limit: int) -> ComparedFunction:
        summary = await self._views.read(READ, comparison_views.summary, *place, name)
        rows, has_more = await self._views.read(READ, comparison_views.rows, *place, name, limit)
        return ComparedFunction(
            better=summary.better,
            worse=summary.worse,
            changed=summary.changed,
            same=summary.same,
            scores=difference(_pairs(summary)),
            rows=rows,
            has_more=has_more,
        )


def _side(view: JobView) -> ComparedJob:
    """Raises Conflict for a candidate of a type that only newer releases know."""
    outcome, candidate = view.outcome, wire.candidate(view.candidate)
    if candidate is None:
        raise Conflict(
            f"Job {outcome.job_id!r} has a candidate of the type {view.candidate.type!r}, which this release does not "
            "know. Use the release that scheduled it, or a newer one."
        )
    return ComparedJob(
        job_id=outcome.job_id,
        status=outcome.status,
        candidate=candidate,
        num_rows=outcome.num_rows,
        num_failed=outcome.num_failed,
        dataset_id=outcome.dataset_id,
        dataset_version=outcome.dataset_version,
    )


def _pairs(summary: Summary) -> PairedScores | None:
    if summary.mean is None or summary.mean_a is None or summary.mean_b is None:
        return None
    return PairedScores(
        count=summary.count,
        mean_a=summary.mean_a,
        mean_b=summary.mean_b,
        mean=summary.mean,
        squares=summary.squares,
        binary=summary.binary,
        both=summary.both,
        first=summary.first,
        second=summary.second,
    )
