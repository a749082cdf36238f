"""The view over the real event log: following, redaction, blobs, and a rebuild of what was redacted."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from projections import session, turn
from projections.read_models import current_plan
from projections.warehouse.engine import Engine
from projections.warehouse.instance import Warehouse
from projections.warehouse.reader import HydratingReader
from schemas.events.agent import AgentCreated
from schemas.events.payload import AgentConfig, CompletionMessage, InputMessage, TurnUsage
from schemas.events.session import SessionCreated, SessionDeleted, SessionTurnOpened
from schemas.events.turn import Owner, TurnCompleted, TurnStarted, TurnStepCompleted, TurnStepStarted
from stack.event_log import open_store
from stack.eventstore import EventStore
from stack.eventstore.appends import Append, StreamWrite
from tests.projections.conftest import tables_of

LONG = "long " * 100_000


async def converse(log: EventStore, session_id: str, text: str) -> int:
    """A session with one finished turn; the last position."""
    message = CompletionMessage(content=text, stop_reason="end_of_turn")
    turn_id = f"turn-of-{session_id}"
    started = TurnStarted(
        session_id=session_id,
        agent_id="a1",
        owner=Owner("node", "boot"),
        input_messages=[InputMessage(role="user", content=text)],
    )
    done = TurnStepCompleted(step_id="x", step_type="inference", output=message, usage=TurnUsage(3, 4))
    begun = TurnStepStarted(step_id="x", step_type="inference", attempt=1)
    opened = (SessionCreated(agent_id="a1", session_name="talk"), SessionTurnOpened(turn_id=turn_id))
    appended = await log.append(
        Append(
            (
                StreamWrite(f"default/session/{session_id}", 0, opened),
                StreamWrite(
                    f"default/turn/{turn_id}",
                    0,
                    (started, begun, done, TurnCompleted(output_message=message)),
                ),
            )
        )
    )
    return appended.last


@pytest.mark.slow
@pytest.mark.anyio
async def test_following_redacting_and_rebuilding(tmp_path: Path) -> None:
    log = open_store(tmp_path)
    warehouse = Warehouse.open(tmp_path)
    engine = Engine(warehouse, log.feed, current_plan())
    engine.start()
    reader = HydratingReader(warehouse, log.hydrate)
    try:
        agent = AgentCreated(config=AgentConfig(model="m", instructions="i"))
        await log.append(Append((StreamWrite("default/agent/a1", 0, (agent,)),)))
        await converse(log, "kept", LONG)
        await engine.reached(await converse(log, "gone", "short-lived"), 10)
        found = await asyncio.to_thread(session.get, reader, "a1", "kept")
        assert found is not None
        assert found.turns[0].input_messages[0].content == LONG
        assert found.turns[0].output_message.content == LONG
        assert turn.get(reader, "a1", "gone", "turn-of-gone") is not None
        deleted = await log.append(
            Append(
                (StreamWrite("default/session/gone", 2, (SessionDeleted(),)),),
                redact=("default/session/gone", "default/turn/turn-of-gone"),
            )
        )
        await engine.reached(deleted.last, 10)
        assert session.get(reader, "a1", "gone", as_of=deleted.first - 1) is None
        followed = tables_of(warehouse)
        assert "short-lived" not in repr(followed)
        engine.rebuild()
        await engine.rebuilt(30)
        assert tables_of(warehouse) == followed
        assert engine.state().degraded is False
    finally:
        engine.stop()
        warehouse.close()
        log.close()
