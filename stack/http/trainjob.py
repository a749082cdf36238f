"""Training jobs over HTTP: scheduling, following, cancelling, reading."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from litestar import Controller, Request
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp

from projections import trainjob as trainjob_views
from schemas.api.trainjob import (
    CancelTrainingJobRequest,
    ListPostTrainingJobsResponse,
    PostTrainingJob,
    PreferenceOptimizeRequest,
    SupervisedFineTuneRequest,
)
from stack.domain.stream_position import parse
from stack.errors import Invalid
from stack.http.answer import empty_answer, json_answer
from stack.http.as_of import as_of_in
from stack.http.body import caller_of, post_of, read_json
from stack.http.endpoint import serves
from stack.http.event_stream import EventStream, no_more_events
from stack.http.services import Services
from stack.services.requests.once import Prior
from stack.services.training.running_trainjob import RunningTrainJob
from stack.services.training.trainjob import READ

STATUS_HEADER = "x-job-status"
_CANCELLED = "The caller cancelled the job."


class TrainJobController(Controller):
    @serves("supervised_fine_tune")
    async def fine_tune(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        data, body = await read_json(request, SupervisedFineTuneRequest)
        schedule = partial(services.trainjobs.fine_tune, data, caller_of(request))
        return await _scheduled(request, services, body, schedule)

    @serves("preference_optimize")
    async def optimize_preference(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        data, body = await read_json(request, PreferenceOptimizeRequest)
        schedule = partial(services.trainjobs.optimize_preference, data, caller_of(request))
        return await _scheduled(request, services, body, schedule)

    @serves("list_training_jobs")
    async def listing(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        as_of = await as_of_in(request, services)
        return json_answer(
            ListPostTrainingJobsResponse(await services.views.read(READ, trainjob_views.listing, as_of))
        )

    @serves("get_training_job_status", "get_training_job_status_by_path")
    async def status(
        self, request: Request[Any, Any, Any], services: Services, job_uuid: str = ""
    ) -> ASGIResponse:
        as_of, job_uuid = await as_of_in(request, services), _job_in(request, job_uuid)
        found = await services.trainjobs.read(trainjob_views.status, job_uuid, as_of)
        return json_answer(found, {STATUS_HEADER: found.status})

    @serves("get_training_job_artifacts", "get_training_job_artifacts_by_path")
    async def artifacts(
        self, request: Request[Any, Any, Any], services: Services, job_uuid: str = ""
    ) -> ASGIResponse:
        as_of, job_uuid = await as_of_in(request, services), _job_in(request, job_uuid)
        return json_answer(await services.trainjobs.read(trainjob_views.artifacts, job_uuid, as_of))

    @serves("get_training_job_outcome", "get_training_job_outcome_by_path")
    async def outcome(
        self, request: Request[Any, Any, Any], services: Services, job_uuid: str = ""
    ) -> ASGIResponse:
        as_of, job_uuid = await as_of_in(request, services), _job_in(request, job_uuid)
        found = await services.trainjobs.read(trainjob_views.outcome, job_uuid, as_of)
        return json_answer(found, {STATUS_HEADER: found.status})

    @serves("cancel_training_job")
    async def cancel(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        data, _ = await read_json(request, CancelTrainingJobRequest)
        await services.trainjobs.cancel(data.job_uuid, _CANCELLED)
        return empty_answer()

    @serves("cancel_training_job_by_path")
    async def cancel_by_path(self, job_uuid: str, services: Services) -> ASGIResponse:
        await services.trainjobs.cancel(job_uuid, _CANCELLED)
        return empty_answer()

    @serves("follow_training_job")
    async def events(self, request: Request[Any, Any, Any], job_uuid: str, services: Services) -> ASGIApp:
        """Streams the job's progress; if it has ended, the whole stream is sent at once."""
        after = parse(request.headers.get("last-event-id"))
        job = await services.trainjobs.running(job_uuid)
        ended = False
        if job is None:
            status = (await services.trainjobs.read(trainjob_views.status, job_uuid)).status
            ended = status not in ("scheduled", "in_progress")
        follower = services.trainjobs.follow(job_uuid, job, after)
        if ended and await follower.is_over():
            return no_more_events({})
        return EventStream(follower, {}, services.settings.keep_alive_s)


async def _scheduled(
    request: Request[Any, Any, Any],
    services: Services,
    body: bytes,
    schedule: Callable[[str], Awaitable[RunningTrainJob]],
) -> ASGIResponse:
    made = await services.once.perform(post_of(request, body), schedule)
    job_uuid = made.ids["trainjob"] if isinstance(made, Prior) else made.job_uuid
    return json_answer(PostTrainingJob(job_uuid))


def _job_in(request: Request[Any, Any, Any], in_path: str) -> str:
    """Returns the id of the path, or of the query. Raises Invalid if there is none."""
    job_uuid = in_path or request.query_params.get("job_uuid")
    if not job_uuid:
        raise Invalid("job_uuid is missing; name the job with ?job_uuid=...")
    return job_uuid
