"""An agent that answers the rows of an evaluation, each in a separate session, recorded like any other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from projections import wire
from schemas.api.content import UserMessage
from schemas.api.turn import CreateAgentTurnRequest
from schemas.events.evaljob import AGENT_VERSION
from stack.domain.eval_row import EvalRow, text_of
from stack.errors import Conflict, Invalid, NotFound, Unavailable, of_status
from stack.eventstore import EventStore, split_stream
from stack.runs.uninterrupted import uninterrupted
from stack.services.agents.session import SessionService
from stack.services.effects import new_id
from stack.services.evals.candidate import Answer, RowFailed
from stack.services.requests.caller import Caller
from stack.services.turns.running_turn import RunningTurn
from stack.services.turns.turn import TurnService

NO_CLIENT = "An evaluation row has no client that could run client tools."


class AgentAnswers:
    """Asks the agent that was created with the job.

    The session and the turn of a row are recorded under command ids of the row, so that a job that is taken
    over after a crash finds the turn that was running, which continues by itself, and does not ask again.
    """

    def __init__(
        self,
        agent_id: str,
        name: str,
        store: EventStore,
        sessions: SessionService,
        turns: TurnService,
        *,
        is_cancelled: Callable[[], bool],
        look_for_earlier: bool,
    ) -> None:
        """`name` is that of the job (`<benchmark>/<job>`). `look_for_earlier` is set if an earlier process
        may have started rows."""
        self._agent_id = agent_id
        self._name = name
        self._store = store
        self._sessions = sessions
        self._turns = turns
        self._is_cancelled = is_cancelled
        self._look_for_earlier = look_for_earlier

    async def answer(
        self, number: int, row: EvalRow, attempt: int, caller: Caller, labels: Mapping[str, str]
    ) -> Answer:
        turn = await self._earlier(number) if self._look_for_earlier and attempt == 1 else None
        if turn is not None:
            return await self._answer_of(turn)
        request = CreateAgentTurnRequest(messages=list(_questions(row)))
        begun: list[RunningTurn] = []

        async def begin() -> None:
            begun.append(await self._begin(number, request, caller))

        try:
            # A turn whose start is interrupted would stay open without a process that runs it.
            await uninterrupted(begin())
            return await self._answer_of(begun[0])
        except asyncio.CancelledError:
            if begun and self._is_cancelled():
                [turn] = begun
                await self._turns.cancel(turn.session_id, turn.turn_id, "The evaluation job was cancelled.")
            raise

    async def _begin(self, number: int, request: CreateAgentTurnRequest, caller: Caller) -> RunningTurn:
        command = f"{self._commands(number)}{new_id()}"
        session_id = await self._sessions.create(
            self._agent_id, f"{self._name} row {number}", caller, f"{command}/session"
        )
        return await self._turns.create(self._agent_id, session_id, request, caller, command, AGENT_VERSION)

    async def _earlier(self, number: int) -> RunningTurn | None:
        """Returns the row's last turn of an earlier process. A session without a turn is not changed."""
        found = await self._store.find_command(self._commands(number))
        if found is None:
            return None
        ids = {category: stream_id for _, category, stream_id in map(split_stream, found.streams)}
        if "turn" not in ids:
            return None
        try:
            return await self._turns.attach(ids["session"], ids["turn"])
        except NotFound:
            return None

    def _commands(self, number: int) -> str:
        """Returns the prefix of the command ids of a row."""
        return f"evaljob/{self._name}/{number}/"

    async def _answer_of(self, turn: RunningTurn) -> Answer:
        await turn.ended()
        state, place = turn.state, (turn.session_id, turn.turn_id)
        match state.status:
            case "completed":
                return Answer(text_of(state.output_message.content), state.usage, *place)
            case "awaiting_input":
                await self._turns.cancel(turn.session_id, turn.turn_id, NO_CLIENT)
                calls = ", ".join(call.tool_name for call in state.output_message.tool_calls or ())
                raise RowFailed(Invalid(f"The agent waits for client tools ({calls}). {NO_CLIENT}"), *place)
            case "failed":
                assert state.error is not None
                error = turn.failure or of_status(state.error.status, state.error.detail)
                raise RowFailed(error, *place)
            case "running":
                raise Unavailable("The server is shutting down.", retry_after=5)
        raise RowFailed(Conflict(f"The turn was ended by another request: it is {state.status}."), *place)


def _questions(row: EvalRow) -> list[UserMessage]:
    """Raises Invalid for messages that an agent cannot be given: it has its own instructions and history."""
    for index, message in enumerate(row.messages):
        if message.role != "user":
            raise Invalid(
                f"Message {index} of the row has the role {message.role!r}; an agent takes user messages only. Put "
                "instructions into the agent's configuration."
            )
    return [UserMessage(wire.content(message.content)) for message in row.messages]
