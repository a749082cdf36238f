"""Chat completions as the tests ask for them, and OpenAI's form of an error."""

from __future__ import annotations

import re
from typing import Any

import httpx

from tests.servers.processes import RunningServer

PATHS = ["/v1/chat/completions", "/v1/openai/v1/chat/completions"]
HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
TEXT = "scripted/text;chunks=3"
ANSWER = "The answer comes"
KEY = "sk-the-key-of-the-operator"
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "look",
        "description": "Looks for things.",
        "parameters": {
            "type": "object",
            "properties": {"what": {"type": "string", "enum": ["moon", "sun"]}},
            "required": ["what"],
            "additionalProperties": False,
        },
    },
}


def body(model: str = TEXT, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": HELLO, **more}


def post(http: httpx.Client, model: str = TEXT, **more: Any) -> httpx.Response:
    return http.post(PATHS[0], json=body(model, **more))


def sent(scripted: RunningServer) -> dict[str, Any]:
    """The last request that the scripted server got."""
    last: dict[str, Any] = scripted.requests()[-1]
    return last


def check_openai_error(answer: httpx.Response, status: int, *mentions: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-trace-id"])
    error: dict[str, Any] = answer.json()["error"]
    assert set(answer.json()) == {"error"} and set(error) == {"message", "type", "param", "code"}
    for mention in mentions:
        assert mention in error["message"], error
    assert KEY not in answer.text
    return error
