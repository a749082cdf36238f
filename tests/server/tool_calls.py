"""Tools of a client and the calls of them, as tests make and answer them."""

from __future__ import annotations

import json
from typing import Any

from tests.server.api import Api, Conversation
from tests.servers.processes import RunningServer

TOOLS = "scripted/tools"
"""Calls the first tool it is offered; once the last message is a tool's, it says `ANSWER`."""
WEATHER: dict[str, Any] = {
    "name": "weather",
    "description": "Tells the weather.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
CLOCK: dict[str, Any] = {"name": "clock", "input_schema": {"type": "object", "properties": {}}}
ARGUMENTS = '{"city":"scripted"}'
CALL = {"call_id": "call_0", "tool_name": "weather", "arguments": ARGUMENTS}
NOT_EXECUTED = "The call was not executed."


def rain(call_id: str = "call_0", content: Any = "rain", **more: Any) -> dict[str, Any]:
    """The response to a call of `WEATHER`."""
    return {"call_id": call_id, "tool_name": "weather", "content": content, **more}


def late(call_id: str = "call_0", content: Any = "late rain") -> dict[str, Any]:
    """The same as a message of a new turn."""
    return {"role": "tool", "call_id": call_id, "content": content}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def weather_man(api: Api, model: str = TOOLS, **config: Any) -> Conversation:
    """A session of an agent with one tool, which its model calls first in each turn."""
    return api.conversation(model, **{"client_tools": [WEATHER], **config})


def waiting(conversation: Conversation, text: Any = "Will it rain?", **body: Any) -> dict[str, Any]:
    """A new turn, which awaits the response to a call."""
    answer = conversation.post(text, **body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-turn-status"] == "awaiting_input"
    turn: dict[str, Any] = answer.json()
    return turn


def asked(scripted: RunningServer, last: int = 1) -> dict[str, Any]:
    """The body of the last request (or the one `last` from the end) that reached the model."""
    body: dict[str, Any] = scripted.requests()[-last]["body"]
    return body


def messages(scripted: RunningServer, last: int = 1) -> list[tuple[str, Any]]:
    """The messages of that request: `(role, text)`, of calls `(assistant, [(id, name, arguments)])`."""
    found: list[tuple[str, Any]] = []
    for message in asked(scripted, last)["messages"]:
        content = message["content"]
        if message.get("tool_calls"):
            content = [
                (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
                for call in message["tool_calls"]
            ]
        found.append((message["role"], content))
    return found
