"""Attributes that are columns of their own, under whatever convention they came: OpenTelemetry's, its older names,
OpenInference's, and the names that existing users filter by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from projections.telemetry_columns import NO_COUNT

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
    "LLM": "chat",
    "AGENT": "invoke_agent",
    "TOOL": "execute_tool",
    "EMBEDDING": "embeddings",
}
"""OpenInference's kinds of spans that have a name among OpenTelemetry's operations; others keep theirs."""

_MAX_KNOWN = 16_384
_MAX_KNOWN_BYTES = 160

Source = tuple[str, bytes, Callable[[bytes], Any]]


class Promoted(dict[tuple[bytes, ...], tuple[Source, ...]]):
    """From the keys of a span's attributes (JSON text) to the columns that they fill, with the key of each and what
    makes the value of the fragment. Senders have few sets of keys; where not, they are forgotten."""

    def __missing__(self, keys: tuple[bytes, ...]) -> tuple[Source, ...]:
        held = set(keys)
        found = tuple(
            (column, key, _VALUES.get(column, _text_values))
            for column, names in _KEYS.items()
            # The one that counts most comes last, over the others.
            for key in reversed(names)
            if key in held
        )
        if len(self) >= _MAX_KNOWN // 16:
            self.clear()
        self[keys] = found
        return found


class _Values(dict[bytes, Any]):
    """From a fragment to its value, None where it is of another type."""

    def __init__(self, convert: Callable[[Any], Any]) -> None:
        super().__init__()
        self._convert = convert

    def __missing__(self, fragment: bytes) -> Any:
        [value] = msgspec.json.decode(b"{%b}" % fragment).values()
        made = self._convert(value)
        if len(fragment) <= _MAX_KNOWN_BYTES:
            if len(self) >= _MAX_KNOWN:
                self.clear()
            self[fragment] = made
        return made


def _text(value: Any) -> bytes | None:
    return value.encode() if isinstance(value, str) and value else None


def _operation(value: Any) -> bytes | None:
    return _text(_OPERATIONS.get(value, value)) if isinstance(value, str) else None


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        return None
    return int(value) if NO_COUNT < value < 2**63 else None


_text_values = _Values(_text).__getitem__
_counts = _Values(_count).__getitem__
_VALUES: dict[str, Callable[[bytes], Any]] = {
    "operation_name": _Values(_operation).__getitem__,
    "input_tokens": _counts,
    "output_tokens": _counts,
}
_KEYS = {column: tuple(msgspec.json.encode(name) for name in names) for column, names in _SOURCES.items()}
