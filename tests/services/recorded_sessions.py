"""Sessions as records of events, for tests of what is exported and imported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import strategies as some

from schemas.events.payload import (
    Content,
    ContentItem,
    Document,
    ImageSource,
    InputMessage,
    ToolCall,
    ToolDef,
    ToolResponse,
    TurnError,
    TurnUsage,
)
from stack.domain import agent as agents
from stack.domain import session as sessions
from stack.domain import turn as turns
from stack.domain.agent import AgentState
from stack.domain.session import SessionState
from stack.domain.turn import TurnState
from stack.services.replay.imported_session import (
    Imported,
    ImportedTurn,
    Inference,
    Results,
    agent_config,
    record_of,
)
from stack.services.replay.session_record import SessionRecord
from stack.services.turns.conversation import History
from tests.services.pictures import base64_of, png

DIGEST = "0" * 64
NOW = 1_800_000_000_000_000
STARTED = 1_700_000_000_000_000

texts = some.text(some.characters(exclude_categories=["Cs"]), max_size=12)
names = some.sampled_from(["search", "read_file", "finish"])
images = some.just(ContentItem(type="image", image=ImageSource(data=base64_of(png()))))
items = some.one_of(texts.map(lambda text: ContentItem(type="text", text=text)), images)
contents = some.one_of(texts, some.lists(items, min_size=2, max_size=3))
arguments = some.one_of(
    some.dictionaries(texts, some.one_of(texts, some.integers(-9, 9), some.none()), max_size=2).map(
        lambda found: msgspec.json.encode(found).decode()
    ),
    some.sampled_from(["not JSON", '{"a": 1}', "[1]", "{}"]),
)
usages = some.builds(TurnUsage, some.integers(0, 99), some.integers(0, 99))
inputs = some.builds(
    InputMessage, role=some.just("user"), content=contents, context=some.one_of(some.none(), texts)
)
documents = some.builds(Document, content=texts, mime_type=some.just("text/plain"))


@some.composite
def steps(draw: some.DrawFn) -> tuple[Any, ...]:
    """Draws inferences with calls and their results, and usually a last answer."""
    found: list[Any] = []
    for _ in range(draw(some.integers(0, 2))):
        count = draw(some.integers(1, 2))
        calls = tuple(
            ToolCall(f"call_{len(found)}_{number}", draw(names), draw(arguments)) for number in range(count)
        )
        found.append(
            Inference(
                content=draw(texts),
                tool_calls=calls,
                reasoning=draw(texts),
                usage=draw(usages),
                model="demo/a",
            )
        )
        if draw(some.integers(0, 9)) == 0:
            return tuple(found)
        metadata = some.one_of(some.none(), some.just({"kind": "file"}))
        responses = [
            ToolResponse(call.call_id, call.tool_name, draw(contents), draw(metadata)) for call in calls
        ]
        found.append(Results(responses=tuple(responses)))
    if draw(some.integers(0, 9)):
        cut_off = draw(some.integers(0, 9)) == 0
        found.append(Inference(content=draw(texts), usage=draw(usages), model="demo/a", is_cut_off=cut_off))
    return tuple(found)


@some.composite
def imported_turns(draw: some.DrawFn) -> ImportedTurn:
    found = draw(steps())
    last = found[-1] if found else None
    pending = isinstance(last, Inference) and bool(last.tool_calls)
    status = "abandoned" if pending else "completed" if isinstance(last, Inference) else "cancelled"
    is_failed = not isinstance(last, Inference) and draw(some.booleans())
    return ImportedTurn(
        input_messages=tuple(draw(some.lists(inputs, min_size=1, max_size=2))),
        documents=tuple(draw(some.lists(documents, max_size=1))),
        steps=found,
        status="failed" if is_failed else status,
        error=TurnError(502, "Bad Gateway", "The model failed.") if is_failed else None,
    )


@some.composite
def session_records(draw: some.DrawFn) -> SessionRecord:
    """Draws sessions whose calls run at the client."""
    found = tuple(draw(some.lists(imported_turns(), min_size=1, max_size=4)))
    schema = {"type": "object", "properties": {"query": {"type": "string"}}}
    tools = [ToolDef(name="search", description="Finds pages.", input_schema=schema)]
    config = agent_config("helper", "demo/a", draw(texts), tools, found)
    imported = Imported(source="s", session_name="a session", agent=config, turns=found)
    return record_of(imported, "test", DIGEST, NOW)


def record_with(
    *found: ImportedTurn, instructions: str = "Be brief.", tools: Sequence[ToolDef] = ()
) -> SessionRecord:
    config = agent_config("helper", "demo/a", instructions, tools, found)
    return record_of(Imported(source="s", session_name="s", agent=config, turns=found), "test", DIGEST, NOW)


def turn(said: Content, *found: Any, status: str = "completed", began_at: int = STARTED) -> ImportedTurn:
    message = InputMessage(role="user", content=said)
    return ImportedTurn(input_messages=(message,), steps=found, status=status, began_at=began_at)


def states_of(record: SessionRecord) -> list[TurnState]:
    """Folds the turns of a record."""
    found = []
    for events in record.turns.values():
        state = TurnState()
        for recorded in events:
            state = turns.evolve(state, recorded.event, recorded.recorded_at, recorded.version)
        found.append(state)
    return found


def conversation(record: SessionRecord) -> list[Any]:
    """Returns the messages that a model would see in the next turn."""
    history = History()
    for state in states_of(record):
        history.add(state)
    return [msgspec.json.decode(b"[" + message + b"]") for message in map(bytes, history.messages)]


def folded(record: SessionRecord) -> tuple[AgentState, SessionState]:
    agent, session = AgentState(), SessionState()
    for recorded in record.agents[record.agent_id]:
        agent = agents.evolve(agent, recorded.event, recorded.recorded_at, recorded.version)
    for recorded in record.session:
        session = sessions.evolve(session, recorded.event, recorded.recorded_at, recorded.version)
    return agent, session
