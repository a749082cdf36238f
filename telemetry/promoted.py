"""Attributes that are columns of their own, under whatever convention they came: OpenTelemetry's, its older names,
OpenInference's, and the names that existing users filter by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from projections.telemetry_columns import NO_COUNT
from telemetry.remembered import Remembered

TEXTS = (
    "operation_name",
    "provider_name",
    "request_model",
    "response_model",
    "response_id",
    "conversation_id",
    "agent_id",
    "agent_name",
    "turn_id",
    "step_id",
    "tool_name",
    "tool_call_id",
    "error_type",
)
COUNTS = ("input_tokens", "output_tokens")

# The first name of each list counts before the others.
_SOURCES: dict[str, tuple[str, ...]] = {
    "operation_name": ("gen_ai.operation.name", "openinference.span.kind"),
    "provider_name": ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system"),
    "request_model": ("gen_ai.request.model", "llm.model_name", "embedding.model_name"),
    "response_model": ("gen_ai.response.model",),
    "response_id": ("gen_ai.response.id",),
    "conversation_id": ("gen_ai.conversation.id", "session.id", "session_id"),
    "agent_id": ("gen_ai.agent.id", "agent_id"),
    "agent_name": ("gen_ai.agent.name", "agent.name"),
    "turn_id": ("turn_id",),
    "step_id": ("step_id",),
    "tool_name": ("gen_ai.tool.name", "tool.name"),
    "tool_call_id": ("gen_ai.tool.call.id", "tool_call.id"),
    "error_type": ("error.type",),
    "input_tokens": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt"),
    "output_tokens": (
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.token_count.completion",
    ),
}
_OPERATIONS = {
    b"LLM": b"chat",
    b"AGENT": b"invoke_agent",
    b"TOOL": b"execute_tool",
    b"EMBEDDING": b"embeddings",
}
"""OpenInference's kinds of spans that have a name among OpenTelemetry's operations; others keep theirs."""

_MAX_KNOWN_BYTES = 4 << 20

Source = tuple[str, bytes, Callable[[bytes], Any]]


class Promoted(Remembered[tuple[bytes, ...], tuple[Source, ...]]):
    """From the keys of a span's attributes (JSON text) to the columns that they fill, with the key of each and what
    makes the value of the fragment. Senders have few sets of keys; where not, they are forgotten."""

    def __init__(self) -> None:
        super().__init__(_sources, _size, _MAX_KNOWN_BYTES)


def _sources(keys: tuple[bytes, ...]) -> tuple[Source, ...]:
    held = set(keys)
    return tuple(
        (column, key, _VALUES.get(column, _text_values))
        for column, names in _KEYS.items()
        # The one that counts most comes last, over the others.
        for key in reversed(names)
        if key in held
    )


def _size(keys: tuple[bytes, ...]) -> int:
    return sum(map(len, keys)) + 8 * len(keys)


def _values(convert: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """From a fragment to its value, None where it is of another type."""

    def value_of(fragment: bytes) -> Any:
        return convert(fragment[fragment.index(b'":') + 2 :])

    return Remembered(value_of, len, _MAX_KNOWN_BYTES).__getitem__


def _text(json: bytes) -> bytes | None:
    if not json.startswith(b'"'):
        return None
    if b"\\" not in json:
        return json[1:-1] or None
    text: str = msgspec.json.decode(json)
    return text.encode()


def _operation(json: bytes) -> bytes | None:
    text = _text(json)
    return None if text is None else _OPERATIONS.get(text, text)


def _count(json: bytes) -> int | None:
    if json.isdigit() and len(json) < 19:
        return int(json)
    if json[0] not in b"-0123456789":
        return None
    number = msgspec.json.decode(json)
    if number != int(number) or not NO_COUNT < number < 2**63:
        return None
    return int(number)


_text_values = _values(_text)
_counts = _values(_count)
_VALUES: dict[str, Callable[[bytes], Any]] = {
    "operation_name": _values(_operation),
    "input_tokens": _counts,
    "output_tokens": _counts,
}
_KEYS = {column: tuple(msgspec.json.encode(name) for name in names) for column, names in _SOURCES.items()}
