"""Fills a log before its server starts: agents, and sessions whose turns went as they go when they are run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import uvloop

from schemas.events.agent import AgentCreated
from schemas.events.base import Event
from schemas.events.payload import AgentConfig, CompletionMessage, InputMessage, TurnUsage
from schemas.events.session import SessionCreated, SessionTurnClosed, SessionTurnOpened
from schemas.events.turn import (
    Owner,
    StreamTrace,
    TurnCompleted,
    TurnStarted,
    TurnStepCompleted,
    TurnStepStarted,
)
from stack.event_log import open_store
from stack.eventstore import Append, EventStore, StreamWrite, stream_name
from stack.services.effects import new_id

_AT_ONCE = 256
_CHUNKS = 20
_SESSIONS = 20
_TURNS = 10
_TEXT = "The answer comes in small pieces of text, one by one. " * 2


class Seeded:
    """The ids of what is in a seeded folder: agents in the order of creation, one session and its turns."""

    def __init__(self) -> None:
        self.agents: list[str] = []
        self.session = ""
        self.turns: list[str] = []


def seed(folder: Path, agents: int, turns: int) -> Seeded:
    """A log of `agents` agents; the first has a session of `turns` turns."""
    return uvloop.run(_seed(folder, agents, turns))


def seed_conversations(folder: Path, events: int) -> list[tuple[str, str]]:
    """A log of at least `events` events: sessions of ten turns, twenty to an agent. Returns the ids of sessions and of
    their agents."""
    return uvloop.run(_seed_conversations(folder, events))


async def _seed_conversations(folder: Path, events: int) -> list[tuple[str, str]]:
    folder.mkdir(parents=True, exist_ok=True)
    store = open_store(folder)
    sessions: list[tuple[str, str]] = []
    try:
        while store.head() < events:
            agent_id = new_id()
            await _agent(store, agent_id, len(sessions))
            ids = [new_id() for _ in range(_SESSIONS)]
            await asyncio.gather(*[_conversation(store, agent_id, session_id) for session_id in ids])
            sessions += [(session_id, agent_id) for session_id in ids]
    finally:
        store.close()
    return sessions


async def _conversation(store: EventStore, agent_id: str, session_id: str) -> None:
    """One session with all of its turns, in one append."""
    own: list[Event] = [SessionCreated(agent_id=agent_id, session_name="one of many")]
    turns = []
    for number in range(_TURNS):
        turn_id = new_id()
        own += [SessionTurnOpened(turn_id=turn_id), SessionTurnClosed(turn_id=turn_id, status="completed")]
        turns.append(("turn", turn_id, 0, _turn(session_id, agent_id, number)))
    await _append(store, ("session", session_id, 0, own), *turns)


async def _seed(folder: Path, agents: int, turns: int) -> Seeded:
    folder.mkdir(parents=True, exist_ok=True)
    store = open_store(folder)
    seeded = Seeded()
    try:
        for first in range(0, agents, _AT_ONCE):
            ids = [new_id() for _ in range(first, min(first + _AT_ONCE, agents))]
            await asyncio.gather(
                *[_agent(store, agent_id, first + number) for number, agent_id in enumerate(ids)]
            )
            seeded.agents.extend(ids)
        if turns:
            await _session(store, seeded, turns)
    finally:
        store.close()
    return seeded


async def _agent(store: EventStore, agent_id: str, number: int) -> None:
    config = AgentConfig(model="openai/scripted", instructions=f"You are assistant {number}. {_TEXT}")
    await _append(store, ("agent", agent_id, 0, [AgentCreated(config=config)]))


async def _session(store: EventStore, seeded: Seeded, turns: int) -> None:
    agent_id, session_id = seeded.agents[0], new_id()
    seeded.session = session_id
    await _append(
        store, ("session", session_id, 0, [SessionCreated(agent_id=agent_id, session_name="a long one")])
    )
    for number in range(turns):
        turn_id = new_id()
        seeded.turns.append(turn_id)
        version = 1 + 2 * number
        opened = SessionTurnOpened(turn_id=turn_id)
        events = _turn(session_id, agent_id, number)
        await _append(store, ("session", session_id, version, [opened]), ("turn", turn_id, 0, events[:1]))
        await _append(store, ("turn", turn_id, 1, events[1:2]))
        closed = SessionTurnClosed(turn_id=turn_id, status="completed")
        await _append(store, ("turn", turn_id, 2, events[2:]), ("session", session_id, version + 1, [closed]))


def _turn(session_id: str, agent_id: str, number: int) -> list[Event]:
    step_id = new_id()
    answer = CompletionMessage(content=_TEXT, stop_reason="end_of_turn")
    lengths = [len(_TEXT) // _CHUNKS] * (_CHUNKS - 1)
    lengths.append(len(_TEXT) - sum(lengths))
    return [
        TurnStarted(
            session_id=session_id,
            agent_id=agent_id,
            owner=Owner("benchmark", "benchmark"),
            input_messages=[
                InputMessage(role="user", content=f"Question {number}: what comes in small pieces?")
            ],
            stream=True,
        ),
        TurnStepStarted(
            step_id=step_id,
            step_type="inference",
            attempt=1,
            model="openai/scripted",
            request_digest="0f" * 32,
        ),
        TurnStepCompleted(
            step_id=step_id,
            step_type="inference",
            output=answer,
            usage=TurnUsage(200, _CHUNKS),
            trace=StreamTrace(lengths, [20] * _CHUNKS),
            response_id=f"chatcmpl-{number}",
            response_model="scripted",
        ),
        TurnCompleted(output_message=answer),
    ]


async def _append(store: EventStore, *writes: tuple[str, str, int, Sequence[Event]]) -> None:
    await store.append(
        Append(
            tuple(
                StreamWrite(stream_name(category, stream_id), version, events)
                for category, stream_id, version, events in writes
            )
        )
    )
