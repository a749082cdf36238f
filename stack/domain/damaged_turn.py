"""Events that take the place of damaged events of a turn, as far as their names and the rest of the turn tell."""

from __future__ import annotations

from schemas.events.base import Damaged, Event
from schemas.events.payload import CompletionMessage, InputMessage, TurnError
from schemas.events.turn import (
    Owner,
    TurnAbandoned,
    TurnAwaitingInput,
    TurnCancelled,
    TurnCompleted,
    TurnFailed,
    TurnRestarted,
    TurnResumed,
    TurnStarted,
)
from stack.errors import ContentDamaged

DAMAGED_QUESTION = "[What the user said here is damaged in the server's log and cannot be read.]"
DAMAGED_ANSWER = "[What was answered here is damaged in the server's log and cannot be read.]"
_NO_OWNER = Owner("", "")


def likely_event(
    damaged: Damaged, said: CompletionMessage, waiting: CompletionMessage, attempt: int
) -> Event | None:
    """Returns None for an event of a step. `said` is what the turn has produced before the event, `waiting` its output if
    it awaits input, and `attempt` its present attempt. Ids and owners of the event are empty."""
    output = said
    if not said.content:
        output = CompletionMessage(content=DAMAGED_ANSWER, stop_reason="end_of_turn")
    match damaged.name:
        case "turn.started":
            question = InputMessage(role="user", content=DAMAGED_QUESTION)
            return TurnStarted(session_id="", agent_id="", owner=_NO_OWNER, input_messages=[question])
        case "turn.restarted":
            return TurnRestarted(owner=_NO_OWNER, attempt=attempt + 1)
        case "turn.awaiting_input":
            return TurnAwaitingInput(output_message=waiting)
        case "turn.resumed":
            return TurnResumed(owner=_NO_OWNER)
        case "turn.completed":
            return TurnCompleted(output_message=output)
        case "turn.failed":
            error = TurnError(ContentDamaged.status, ContentDamaged.title, damaged.detail)
            return TurnFailed(error=error, output_message=output)
        case "turn.cancelled":
            return TurnCancelled(reason=damaged.detail, output_message=output)
        case "turn.abandoned":
            return TurnAbandoned(output_message=output)
    return None
