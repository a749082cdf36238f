"""Forks of a session in the middle of a turn: copies of the turn's events up to that point.

A copy differs from its event in the ids of the session, the agent and the turn only, in the ids of the decisions that
calls wait for, and in the keys of calls: both are unique on a server. Its frames are those of the original.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from schemas.events.base import Damaged, Event, Redacted, Unknown
from schemas.events.turn import (
    Owner,
    TurnCancelled,
    TurnEffectSettled,
    TurnInputReceived,
    TurnInputRequested,
    TurnStarted,
    TurnToolCalled,
)
from stack.domain import turn as turns
from stack.domain.turn import TurnState
from stack.errors import ContentDamaged, Invalid

FORKED_HERE = "The session was forked here, in the middle of the turn."


class Copied(NamedTuple):
    """An event of the original turn, and when it occurred (microseconds since 1970)."""

    occurred_at: int
    event: Event


class Target(Struct, frozen=True, kw_only=True):
    """The turn of the new session. `agent_version` is that of its agent if that is not the one of the original
    turn."""

    session_id: str
    agent_id: str
    turn_id: str
    agent_version: int = 0


def copies(events: Sequence[Copied], target: Target, new_id: Callable[[], str], now_us: int) -> list[Event]:
    """Returns the events of the new turn. A decision that is still pending gets its whole time again. Raises
    ContentDamaged if an event cannot be read."""
    decided = {event.request_id for _, event in events if isinstance(event, TurnInputReceived)}
    request_ids: dict[str, str] = {}
    copied: list[Event] = []
    for occurred_at, event in events:
        match event:
            case TurnStarted(agent_id=agent_id, agent_version=version):
                version = version if agent_id == target.agent_id else target.agent_version
                ids = {"session_id": target.session_id, "agent_id": target.agent_id}
                event = replace(event, **ids, agent_version=version)
            case TurnToolCalled(key=key):
                event = replace(event, key=copied_key(key, target.turn_id))
            case TurnInputRequested(request_id=request_id, deadline=deadline):
                request_ids[request_id] = new_id()
                if request_id not in decided:
                    deadline = now_us + max(0, deadline - occurred_at)
                event = replace(event, request_id=request_ids[request_id], deadline=deadline)
            case TurnInputReceived(request_id=request_id):
                event = replace(event, request_id=request_ids.get(request_id, request_id))
            case TurnEffectSettled():
                event = replace(event, session_id=target.session_id)
            case Damaged(detail=detail):
                raise ContentDamaged(f"The turn cannot be copied up to this point. {detail}")
            case Unknown() | Redacted():
                raise ContentDamaged(
                    "The turn cannot be copied up to this point, because this version of the server does not know one of its "
                    "events. Fork after the whole turn."
                )
        copied.append(replace(event, occurred_at=occurred_at))
    return copied


def copied_key(key: str, turn_id: str) -> str:
    """Returns the key of a copied call, as unique as that of the original: if the call continues in the new turn, it is
    another effect."""
    return hashlib.sha256(f"{key}{turn_id}".encode()).hexdigest()


def folded(events: Sequence[Event]) -> TurnState:
    """Returns the state of a turn of copied events."""
    state = TurnState()
    for version, event in enumerate(events, 1):
        state = turns.evolve(state, event, event.occurred_at, version)
    return state


def ending(state: TurnState, continues: bool, owner: Owner) -> list[Event]:
    """Returns what follows the copied events: nothing if the turn had ended or awaits input; otherwise it is continued by
    `owner`, or cancelled. Raises Invalid if it cannot be continued."""
    if continues:
        if state.status != "running":
            raise Invalid(
                f"continue is true, but the turn is {state.status} at this point. Leave it out"
                f"{', and resume the turn' if state.status == 'awaiting_input' else ''}."
            )
        return turns.restart(state, owner)
    if state.status != "running":
        return []
    cancelled = TurnCancelled(reason=FORKED_HERE, output_message=turns.produced(state))
    return [*turns.broken_off(state), cancelled]


def closed(state: TurnState, ending: Sequence[Event]) -> str:
    """Returns the status with which the copied turn is closed in its session after `ending`; "" if it stays open."""
    for event in ending:
        state = turns.evolve(state, event, 0, 0)
    return "" if state.status in ("running", "awaiting_input") else state.status
