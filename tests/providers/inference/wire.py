"""Answers of model servers as bytes, and what they are decoded to."""

from __future__ import annotations

import json
from typing import Any

from msgspec import Struct

from stack.providers.inference.openai_stream import AnswerStream
from stack.providers.inference.port import Finished, ReasoningChunk, TextChunk, ToolCallChunk
from tests.providers.inference.contract import raw

TOOLS = [
    raw({"type": "function", "function": {"name": name}}) for name in ("get_weather", "get_time", "search")
]
PARIS, ROME = '{"city":"Paris"}', '{"city":"Rome"}'


class Read(Struct):
    """A decoded answer. `calls` are (id, name, arguments)."""

    text: str
    reasoning: str
    calls: list[tuple[str, str, str]]
    finished: Finished


def read(*pieces: bytes) -> Read:
    """Decodes an answer as the provider does. Raises its failure."""
    answer = AnswerStream("The server", TOOLS)
    events = []
    for piece in pieces:
        events += answer.feed(piece)[1]
        if answer.failure is not None:
            raise answer.failure
        if answer.done:
            break
    events += answer.end()
    finished = answer.finished()
    calls: dict[int, list[str]] = {}
    order = [event.index for event in events if isinstance(event, ToolCallChunk)]
    assert order == sorted(order), "the pieces of calls are mixed"
    for event in events:
        if isinstance(event, ToolCallChunk):
            if event.index not in calls:
                assert event.call_id and event.name
                calls[event.index] = [event.call_id, event.name, ""]
            calls[event.index][2] += event.arguments
    return Read(
        "".join(event.text for event in events if isinstance(event, TextChunk)),
        "".join(event.text for event in events if isinstance(event, ReasoningChunk)),
        [(id, name, arguments) for id, name, arguments in calls.values()],
        finished,
    )


def data(value: Any, end: str = "\n\n") -> bytes:
    return f"data: {json.dumps(value, ensure_ascii=False)}{end}".encode()


def chunk(delta: Any, finish: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "id": "c",
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **more,
    }


DONE = b"data: [DONE]\n\n"


def stream(*chunks: Any, done: bool = True) -> bytes:
    return b"".join(one if isinstance(one, bytes) else data(one) for one in chunks) + (DONE if done else b"")


def called(*deltas: Any, finish: str = "tool_calls") -> bytes:
    """An answer with one delta for each list of call pieces."""
    return stream(*(chunk({"tool_calls": pieces}) for pieces in deltas), chunk({}, finish))


def piece(arguments: Any = ..., *, index: Any = ..., id: Any = ..., name: Any = ...) -> dict[str, Any]:
    """A piece of a call, with what is given."""
    function = {k: v for k, v in (("name", name), ("arguments", arguments)) if v is not ...}
    said = {k: v for k, v in (("index", index), ("id", id)) if v is not ...}
    return said | ({"function": function} if function else {})


def head(index: Any = ..., id: Any = ..., name: str = "get_weather", arguments: Any = "") -> dict[str, Any]:
    return piece(arguments, index=index, id=id, name=name)


TWO = [("a", "get_weather", PARIS), ("b", "get_time", ROME)]
W, T = "get_weather", "get_time"
