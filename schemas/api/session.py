"""Sessions: one conversation with an agent (spec tag: Agents)."""

from __future__ import annotations

from msgspec import Struct, field

from schemas.api.turn import Turn


class CreateAgentSessionRequest(Struct, frozen=True, forbid_unknown_fields=True):
    session_name: str


class ForkSessionRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Where to fork: after all of `turn_id` (so far), after the step `step_id`, or after the event of the log at the position
    `event`; by default after the last turn that has ended. The defaults of `session_name` and `agent_id` are those of the
    session. `continue` lets the model continue a turn in the middle of which the session is forked; otherwise the turn is
    cancelled there."""

    turn_id: str | None = None
    step_id: str | None = None
    event: int | None = None
    session_name: str | None = None
    agent_id: str | None = None
    continue_: bool = field(default=False, name="continue")


class AgentSessionCreateResponse(Struct, frozen=True):
    session_id: str


class Session(Struct, frozen=True):
    session_id: str
    session_name: str
    turns: list[Turn]
    started_at: str
