"""Evaluation jobs over HTTP: scheduling, following, cancelling, reading; and immediate evaluation of rows."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from litestar import Controller, Request
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp

from projections import evaljob as evaljob_views
from projections.evaljob import JobView
from schemas.api.eval import EvaluateRowsRequest, RunEvalRequest
from schemas.api.evaljob import Job
from schemas.api.page import PaginatedResponse
from stack.domain.stream_position import parse
from stack.errors import Conflict, Unavailable
from stack.http.answer import empty_answer, json_answer
from stack.http.as_of import as_of_in
from stack.http.benchmark_path import id_in
from stack.http.body import caller_of, page_of, path_of, post_of, read_json
from stack.http.endpoint import serves
from stack.http.event_stream import EventStream, no_more_events
from stack.http.services import Services
from stack.services.evals.evaljob import READ
from stack.services.evals.running_job import RunningJob
from stack.services.requests.once import Prior

STATUS_HEADER = "x-job-status"
ID_HEADER = "x-job-id"
VERSION_HEADER = "x-dataset-version"
WAIT_S = 2.0
"""How long the response to a new job waits for its end, in seconds, unless `Prefer` specifies otherwise."""
MAX_WAIT_S = 50.0
RESULT_WAIT_S = 30.0
"""How long a result waits for the end of its job, in seconds: existing clients give up after 60 s, and retry
after 409."""

_PREFERRED_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?([0-9]{1,9})\"?\s*(?=$|[,;])", re.IGNORECASE)


class EvalJobController(Controller):
    @serves("run_eval")
    async def schedule(
        self, request: Request[Any, Any, Any], benchmark_id: str, services: Services
    ) -> ASGIResponse:
        name = id_in(benchmark_id)
        data, body = await read_json(request, RunEvalRequest)
        schedule = partial(services.evaljobs.schedule, name, data, caller_of(request))
        job_id, job = await _job(
            services,
            name,
            await services.once.perform(post_of(request, body), services.rates.for_models(schedule)),
        )
        wait_s, applied = _wait(request)
        if job is None:
            view = await services.evaljobs.view(name, job_id)
            return json_answer(view.job, applied)
        await job.ended(wait_s)
        return json_answer(job.wire(), applied)

    @serves("list_jobs")
    async def page(
        self, request: Request[Any, Any, Any], benchmark_id: str, services: Services
    ) -> ASGIResponse:
        name = id_in(benchmark_id)
        start, limit = page_of(request)
        as_of, max_bytes = await as_of_in(request, services), services.settings.max_page_bytes
        await services.benchmarks.show(name, as_of)
        data, has_more = await services.views.read(
            READ, evaljob_views.page, name, start, limit, as_of, max_bytes
        )
        return json_answer(PaginatedResponse(data, has_more, id_in(path_of(request))))

    @serves("get_job")
    async def show(
        self, request: Request[Any, Any, Any], benchmark_id: str, job_id: str, services: Services
    ) -> ASGIResponse:
        as_of = await as_of_in(request, services)
        outcome = await services.evaljobs.outcome(id_in(benchmark_id), job_id, as_of)
        return json_answer(Job(outcome.job_id, outcome.status))

    @serves("cancel_job")
    async def cancel(self, benchmark_id: str, job_id: str, services: Services) -> ASGIResponse:
        await services.evaljobs.cancel(id_in(benchmark_id), job_id, "The caller cancelled the job.")
        return empty_answer()

    @serves("get_job_outcome")
    async def outcome(
        self, request: Request[Any, Any, Any], benchmark_id: str, job_id: str, services: Services
    ) -> ASGIResponse:
        as_of = await as_of_in(request, services)
        outcome = await services.evaljobs.outcome(id_in(benchmark_id), job_id, as_of)
        return json_answer(outcome, {STATUS_HEADER: outcome.status})

    @serves("get_job_result")
    async def result(
        self, request: Request[Any, Any, Any], benchmark_id: str, job_id: str, services: Services
    ) -> ASGIResponse:
        name = id_in(benchmark_id)
        as_of = await as_of_in(request, services)
        if as_of is not None:
            view = await services.evaljobs.view(name, job_id, as_of)
            if not view.has_ended:
                raise Conflict(
                    f"At position {as_of} job {job_id!r} was {view.outcome.status}: {view.outcome.num_done} of "
                    f"{view.outcome.num_rows} rows were done. Read .../outcome, or name a later position."
                )
            return await _result(services, view)
        job = await services.evaljobs.running(name, job_id)
        if job is not None and not await job.ended(RESULT_WAIT_S):
            raise Conflict(
                f"Job {job_id!r} is {job.state.status}: {len(job.state.done)} of {job.state.num_rows} rows are done. "
                "Ask again, follow it at .../events, or read .../outcome.",
                should_retry=True,
            )
        return await _result(services, await services.evaljobs.view(name, job_id))

    @serves("follow_job")
    async def events(
        self, request: Request[Any, Any, Any], benchmark_id: str, job_id: str, services: Services
    ) -> ASGIApp:
        """Streams the job's progress; if it has ended, the whole stream is sent at once."""
        name = id_in(benchmark_id)
        after = parse(request.headers.get("last-event-id"))
        job = await services.evaljobs.running(name, job_id)
        view = await services.evaljobs.view(name, job_id) if job is None else None
        follower = services.evaljobs.follow(name, job_id, job, after)
        if view is not None and view.has_ended and await follower.is_over():
            return no_more_events({ID_HEADER: job_id})
        return EventStream(follower, {ID_HEADER: job_id}, services.settings.keep_alive_s)

    @serves("evaluate_rows")
    async def evaluate(
        self, request: Request[Any, Any, Any], benchmark_id: str, services: Services
    ) -> ASGIResponse:
        name = id_in(benchmark_id)
        data, body = await read_json(request, EvaluateRowsRequest)
        evaluate = partial(services.evaljobs.evaluate, name, data, caller_of(request))
        job_id, job = await _job(
            services,
            name,
            await services.once.perform(post_of(request, body), services.rates.for_models(evaluate)),
        )
        if job is not None and not await job.ended():
            raise Unavailable("The server is shutting down; the evaluation continues after the next start.")
        if job is not None and job.state.status == "cancelled":
            raise Conflict(f"The evaluation was cancelled. {job.state.cancel_reason}")
        return await _result(services, await services.evaljobs.view(name, job_id))


async def _job(services: Services, name: str, made: RunningJob | Prior) -> tuple[str, RunningJob | None]:
    """Returns the id of the job that a request creates or repeats, and the job unless it has ended."""
    if not isinstance(made, Prior):
        return made.job_id, made
    job_id = made.ids["evaljob"].rpartition("/")[2]
    return job_id, await services.evaljobs.running(name, job_id)


async def _result(services: Services, view: JobView) -> ASGIResponse:
    """Returns the result of a job that has ended, built in the reader's thread because it may be large."""
    if not view.has_ended:
        raise Unavailable("The server is shutting down; the job continues after the next start.")
    headers = {STATUS_HEADER: view.outcome.status, ID_HEADER: view.outcome.job_id}
    if view.outcome.dataset_version:
        headers[VERSION_HEADER] = str(view.outcome.dataset_version)
    body = await services.views.read(READ, evaljob_views.result, view)
    return ASGIResponse(body=body, media_type="application/json", headers=headers)


def _wait(request: Request[Any, Any, Any]) -> tuple[float, dict[str, str] | None]:
    """Returns how long to wait, in seconds, and headers that confirm it: `Prefer: wait=N`, or `respond-async`
    (RFC 7240)."""
    preferred = ",".join(request.headers.getall("prefer", []))
    found = _PREFERRED_WAIT.search(preferred)
    if found is not None:
        wait_s = min(int(found.group(1)), int(MAX_WAIT_S))
        return float(wait_s), {"preference-applied": f"wait={wait_s}"}
    if re.search(r"(?:^|,)\s*respond-async\s*(?:$|,)", preferred, re.IGNORECASE):
        return 0.0, {"preference-applied": "respond-async"}
    return WAIT_S, None
