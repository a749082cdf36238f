"""The calls that benchmarks make: agents, sessions, turns."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from benchmarks.client import Answer, Connection, Streamed

AGENTS = "/v1alpha/agents"
CHUNKS = 20
MODEL = f"text;chunks={CHUNKS}"
"""The scripted model: twenty chunks of text, one write each, without a pause."""
INSTRUCTIONS = "You are a helpful assistant. Answer in a few words."
QUESTION = "What comes in small pieces?"
FIRST_TEXT = b'"step_progress"'
FIRST_MODEL_TEXT = b'"content":'


class _Agent(Struct):
    agent_id: str


class _Session(Struct):
    session_id: str


def new_agent(connection: Connection, model: str = MODEL) -> str:
    config = {"model": f"openai/{model}", "instructions": INSTRUCTIONS}
    answer = connection.post(AGENTS, {"agent_config": config})
    return msgspec.json.decode(answer.body, type=_Agent).agent_id


def new_session(connection: Connection, agent_id: str) -> str:
    """The path of a new session, below which its turns are."""
    path = f"{AGENTS}/{agent_id}/session"
    answer = connection.post(path, {"session_name": "benchmark"})
    return f"{path}/{msgspec.json.decode(answer.body, type=_Session).session_id}"


def streamed_turn(connection: Connection, session_path: str) -> Streamed:
    """A turn whose stream is read to its end. Raises RuntimeError unless every chunk came through."""
    streamed = connection.stream(f"{session_path}/turn", _turn(True), FIRST_TEXT)
    if streamed.raw.count(FIRST_TEXT) != CHUNKS or b'"turn_complete"' not in streamed.raw:
        raise RuntimeError(f"Not the stream of a whole turn: {streamed.raw[-600:]!r}")
    return streamed


def whole_turn(connection: Connection, session_path: str) -> Answer:
    """A turn whose answer comes in one piece."""
    return connection.post(f"{session_path}/turn", _turn(False))


def model_turn(connection: Connection) -> Streamed:
    """The same question put to the model server itself."""
    messages = [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": QUESTION}]
    body = {
        "model": MODEL,
        "messages": messages,
        "stream": True,
        "temperature": 0,
        "stream_options": {"include_usage": True},
    }
    streamed = connection.stream("/v1/chat/completions", body, FIRST_MODEL_TEXT)
    if streamed.raw.count(FIRST_MODEL_TEXT) != CHUNKS:
        raise RuntimeError(f"Not the stream of a whole answer: {streamed.raw[-600:]!r}")
    return streamed


def _turn(stream: bool) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": QUESTION}], "stream": stream}
