"""Turns over HTTP: creating (streamed or not), following, cancelling, reading."""

from __future__ import annotations

from functools import partial
from typing import Any

from litestar import Controller, Request
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp

from schemas.api.turn import AgentStepResponse, CreateAgentTurnRequest, ResumeAgentTurnRequest
from stack.domain.stream_position import BEGINNING, StreamPosition, parse
from stack.errors import NotFound, Unavailable, of_status
from stack.http.answer import empty_answer, json_answer
from stack.http.as_of import as_of_in
from stack.http.body import caller_of, path_of, post_of, read_json
from stack.http.endpoint import serves
from stack.http.event_stream import EventStream, no_more_events, speed_of
from stack.http.services import Services
from stack.services.requests.once import Prior
from stack.services.turns.running_turn import RunningTurn
from stack.settings import Settings

STATUS_HEADER = "x-turn-status"
ID_HEADER = "x-turn-id"


class TurnController(Controller):
    @serves("create_turn")
    async def create(
        self,
        request: Request[Any, Any, Any],
        agent_id: str,
        session_id: str,
        services: Services,
    ) -> ASGIApp:
        data, body = await read_json(request, CreateAgentTurnRequest)
        create = partial(services.turns.create, agent_id, session_id, data, caller_of(request))
        turn = await services.once.perform(post_of(request, body), services.rates.for_models(create))
        if isinstance(turn, Prior):
            turn = await services.turns.attach(session_id, turn.ids["turn"])
        url = f"{path_of(request)}/{turn.turn_id}"
        if data.stream:
            return await _streamed(turn, url, BEGINNING, services.settings)
        return await _whole(turn, url)

    @serves("resume_turn")
    async def resume(
        self,
        request: Request[Any, Any, Any],
        agent_id: str,
        session_id: str,
        turn_id: str,
        services: Services,
    ) -> ASGIApp:
        data, body = await read_json(request, ResumeAgentTurnRequest)
        resume = partial(services.turns.resume, agent_id, session_id, turn_id, data, caller_of(request))
        resumed = await services.once.perform(post_of(request, body), services.rates.for_models(resume))
        if isinstance(resumed, Prior):
            turn = await services.turns.attach(session_id, turn_id)
            after = await services.turns.resumed_at(session_id, turn_id, resumed.position)
        else:
            turn, after = resumed
        url = path_of(request).removesuffix("/resume")
        if data.stream:
            return await _streamed(turn, url, after, services.settings)
        return await _whole(turn, url)

    @serves("get_turn")
    async def show(
        self,
        request: Request[Any, Any, Any],
        agent_id: str,
        session_id: str,
        turn_id: str,
        services: Services,
    ) -> ASGIResponse:
        as_of = await as_of_in(request, services)
        view = await services.turns.show(agent_id, session_id, turn_id, as_of)
        return json_answer(view.turn, {STATUS_HEADER: view.outcome.status})

    @serves("get_turn_outcome")
    async def outcome(
        self,
        request: Request[Any, Any, Any],
        agent_id: str,
        session_id: str,
        turn_id: str,
        services: Services,
    ) -> ASGIResponse:
        as_of = await as_of_in(request, services)
        view = await services.turns.show(agent_id, session_id, turn_id, as_of)
        return json_answer(view.outcome, {STATUS_HEADER: view.outcome.status})

    @serves("get_step")
    async def step(
        self,
        request: Request[Any, Any, Any],
        agent_id: str,
        session_id: str,
        turn_id: str,
        step_id: str,
        services: Services,
    ) -> ASGIResponse:
        as_of = await as_of_in(request, services)
        view = await services.turns.show(agent_id, session_id, turn_id, as_of)
        step = next((step for step in view.turn.steps if step.step_id == step_id), None)
        if step is None:
            raise NotFound(f"There is no finished step {step_id!r} in turn {turn_id!r}.")
        return json_answer(AgentStepResponse(step))

    @serves("follow_turn")
    async def stream(
        self,
        request: Request[Any, Any, Any],
        agent_id: str,
        session_id: str,
        turn_id: str,
        services: Services,
    ) -> ASGIApp:
        """Follows a running turn or replays a finished one. `?speed=1` replays at the recorded pace."""
        speed = speed_of(request)
        await services.states.session(agent_id, session_id)
        after = parse(request.headers.get("last-event-id"))
        turn = await services.turns.attach(session_id, turn_id)
        follower = turn.follow(after)
        if after != BEGINNING and turn.state.status != "running" and follower.ended:
            return no_more_events({ID_HEADER: turn_id})
        long = services.long_streams if speed else None
        return EventStream(follower, {ID_HEADER: turn_id}, services.settings.keep_alive_s, speed, long)

    @serves("cancel_turn")
    async def cancel(self, agent_id: str, session_id: str, turn_id: str, services: Services) -> ASGIResponse:
        await services.states.session(agent_id, session_id)
        await services.turns.cancel(session_id, turn_id, "The caller cancelled the turn.")
        return empty_answer()


async def _streamed(turn: RunningTurn, url: str, after: StreamPosition, settings: Settings) -> EventStream:
    """Delays the status line until the model produces output, so that an early failure is sent with its own
    status."""
    await turn.first_output(settings.hold_back_ms / 1000)
    since = turn.state.started_at if after == BEGINNING else turn.state.running_since
    if turn.state.status == "failed" and not turn.state.has_output_since(since):
        _raise_failure(turn, url)
    return EventStream(turn.follow(after), {ID_HEADER: turn.turn_id}, settings.keep_alive_s)


async def _whole(turn: RunningTurn, url: str) -> ASGIResponse:
    await turn.ended()
    if turn.state.status == "running":
        raise Unavailable(
            "The server is shutting down; the turn continues after the next start.",
            retry_after=5,
            instance=url,
        )
    if turn.state.status == "failed":
        _raise_failure(turn, url)
    return json_answer(turn.wire(), {STATUS_HEADER: turn.state.status})


def _raise_failure(turn: RunningTurn, url: str) -> None:
    error = turn.failure
    if error is None:
        recorded = turn.state.error
        assert recorded is not None
        error = of_status(recorded.status, recorded.detail)
        error.should_retry = False
    error.instance = url
    raise error
