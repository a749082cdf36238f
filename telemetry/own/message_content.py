"""Messages on spans in the format of the GenAI conventions, if this is enabled.

The input is in OpenAI's chat format. Images and other files are named, not copied, and of a long history the
newest part is kept.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from telemetry.own import conventions as names

VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
INPUT_MESSAGES = names.GEN_AI_INPUT_MESSAGES
OUTPUT_MESSAGES = names.GEN_AI_OUTPUT_MESSAGES
TOOL_ARGUMENTS = names.GEN_AI_TOOL_CALL_ARGUMENTS
TOOL_RESULT = names.GEN_AI_TOOL_CALL_RESULT
ATTRIBUTES = (INPUT_MESSAGES, OUTPUT_MESSAGES, TOOL_ARGUMENTS, TOOL_RESULT)
"""All attributes of the server's own spans that may contain content of a conversation or a row; their values
are texts. An erasure removes exactly these, so no other attribute may contain content."""

MAX_CHARACTERS = 256 * 1024
"""Maximum length of the texts on one span, in characters, for input and for output each."""

_ON = frozenset(("true", "span_only", "span_and_event"))
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def is_captured() -> bool:
    """Returns whether the standard variable requests messages on spans; otherwise they are stored in events
    only."""
    return os.environ.get(VARIABLE, "").strip().lower() in _ON


def input_messages(messages: Sequence[bytes]) -> str:
    """Returns the value of `gen_ai.input.messages`. Items that are not chat messages are left out."""
    shown: list[dict[str, Any]] = []
    room = MAX_CHARACTERS
    for encoded in reversed(messages):
        try:
            message = _decode(encoded)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        if isinstance(message, dict) and room > 0:
            parts, room = _bounded(message_parts(message), room)
            shown.append({"role": str(message.get("role", "")), "parts": parts})
    shown.reverse()
    return _encode(shown).decode()


def output_messages(messages: Iterable[tuple[Mapping[str, Any], str]]) -> str:
    """Returns the value of `gen_ai.output.messages` for the model's messages and their finish reasons."""
    shown = []
    room = MAX_CHARACTERS
    for message, reason in messages:
        parts, room = _bounded(message_parts(message), room)
        shown.append({"role": "assistant", "parts": parts, "finish_reason": reason})
    return _encode(shown).decode()


def message_parts(message: Mapping[str, Any], *, with_files: bool = False) -> list[dict[str, Any]]:
    """Returns the parts of a message in OpenAI's chat format; `with_files` those of images with their content."""
    content = message.get("content")
    if message.get("role") == "tool":
        return [{"type": "tool_call_response", "id": message.get("tool_call_id"), "response": content}]
    given = [{"type": "text", "text": content}] if isinstance(content, str) else content
    parts = (
        [_part(one, with_files) for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    )
    calls = message.get("tool_calls")
    parts += [_call(one) for one in calls if isinstance(one, dict)] if isinstance(calls, list) else []
    return [part for part in parts if part.get("content") != ""]


def _part(part: Mapping[str, Any], with_files: bool) -> dict[str, Any]:
    kind = str(part.get("type", ""))
    if isinstance(part.get("text"), str):
        return {"type": "text", "content": part["text"]}
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, dict) else None
    if not isinstance(url, str):
        return {"type": kind}
    if url.startswith("data:"):
        blob = {"type": "blob", "modality": "image", "mime_type": url[5:].partition(";")[0][:100]}
        return blob | {"content": url.partition(",")[2]} if with_files else blob
    return {"type": "uri", "modality": "image", "uri": url}


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call.get("function")
    said = function if isinstance(function, dict) else {}
    return {
        "type": "tool_call",
        "id": call.get("id"),
        "name": said.get("name"),
        "arguments": said.get("arguments"),
    }


def _bounded(parts: list[dict[str, Any]], room: int) -> tuple[list[dict[str, Any]], int]:
    """Returns the parts with at most `room` characters of text, and the remaining room."""
    for part in parts:
        for key in ("content", "arguments", "response", "uri"):
            value = part.get(key)
            if isinstance(value, str):
                part[key] = value[: max(room, 0)]
                room -= len(value)
            elif key == "response" and value is not None:
                part[key] = _encode(value).decode()[: max(room, 0)]
                room -= len(part[key])
    return parts, room
