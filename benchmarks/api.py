"""The calls that benchmarks make: agents, sessions, turns."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from benchmarks.client import Answer, Connection, Streamed

AGENTS = "/v1alpha/agents"
BUILT_S = 600.0
"""How long the first build of the read models of a million events may take, in seconds."""
CHUNKS = 20
MODEL = f"text;chunks={CHUNKS}"
"""The scripted model: twenty chunks of text, one write each, without a pause."""
INSTRUCTIONS = "You are a helpful assistant. Answer in a few words."
QUESTION = "What comes in small pieces?"
FIRST_TEXT = b'"step_progress"'
TURN_ID_HEADER = b"x-turn-id: "
TOOL = {
    "name": "tide",
    "description": "Tells the tide of a town.",
    "input_schema": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
}
TOOL_MODEL = "tools;pieces=4;chunks=15"
"""The scripted model: a call of the tool (its name, then its arguments in four parts), and fifteen chunks of
text after the tool has answered. These twenty chunks produce twenty frames: the name has no frame, but the
whole call has one."""
FIRST_MODEL_TEXT = b'"content":'


class _Agent(Struct):
    agent_id: str


class _Session(Struct):
    session_id: str


def new_agent(
    connection: Connection,
    model: str = MODEL,
    tools: Sequence[object] = (),
    toolgroups: Sequence[str] = (),
) -> str:
    config = {
        "model": f"openai/{model}",
        "instructions": INSTRUCTIONS,
        "client_tools": tools,
        "toolgroups": toolgroups,
    }
    answer = connection.post(AGENTS, {"agent_config": config})
    return msgspec.json.decode(answer.body, type=_Agent).agent_id


def new_session(connection: Connection, agent_id: str) -> str:
    """Returns the path of a new session, under which its turns are."""
    path = f"{AGENTS}/{agent_id}/session"
    answer = connection.post(path, {"session_name": "benchmark"})
    return f"{path}/{msgspec.json.decode(answer.body, type=_Session).session_id}"


def streamed_turn(connection: Connection, session_path: str, chunks: int = CHUNKS) -> Streamed:
    """Reads a turn's stream to its end. Raises RuntimeError unless every chunk arrived."""
    streamed = connection.stream(f"{session_path}/turn", turn_request(True), FIRST_TEXT)
    check_whole(streamed.raw, chunks)
    return streamed


def tool_turn(connection: Connection, session_path: str) -> None:
    """Streams a turn that calls a tool, and its resume with the tool's answer."""
    asked = connection.stream(f"{session_path}/turn", turn_request(True), FIRST_TEXT).raw
    if b'"turn_awaiting_input"' not in asked:
        raise RuntimeError(f"Not the stream of a turn that calls a tool: {asked[-600:]!r}")
    answer = {"call_id": "call_0", "tool_name": TOOL["name"], "content": "It is low until six."}
    body = {"tool_responses": [answer], "stream": True}
    path = f"{session_path}/turn/{turn_id(asked)}/resume"
    check_whole(asked + connection.stream(path, body, FIRST_TEXT).raw, CHUNKS)


def turn_id(answer: bytes) -> str:
    """Returns the id of the turn that a response streams, from its head."""
    return answer.partition(TURN_ID_HEADER)[2][:36].decode()


def check_whole(raw: bytes, chunks: int) -> None:
    """Raises RuntimeError unless these are the frames of a complete turn with this number of chunks."""
    if raw.count(FIRST_TEXT) != chunks or b'"turn_complete"' not in raw:
        raise RuntimeError(f"Not the stream of a whole turn: {raw.count(FIRST_TEXT)} chunks, {raw[-600:]!r}")


def whole_turn(connection: Connection, session_path: str) -> Answer:
    """Creates a turn whose answer is not streamed."""
    return connection.post(f"{session_path}/turn", turn_request(False))


def model_turn(connection: Connection) -> Streamed:
    """Asks the model server directly."""
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


def turn_request(stream: bool) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": QUESTION}], "stream": stream}


def wait_until_built(connection: Connection) -> None:
    """Returns once the read models answer."""
    deadline = time.monotonic() + BUILT_S
    while True:
        try:
            connection.get(f"{AGENTS}?limit=10")
            return
        except RuntimeError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
