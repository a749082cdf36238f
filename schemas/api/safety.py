"""Running shields directly, in the form of the Llama Stack client and in OpenAI's (not part of the Llama Stack
specification)."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from schemas.api.turn import SafetyViolation


class SafetyMessage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message in the form of the Llama Stack client or of OpenAI; existing clients send both. `content` is a text, a
    content part, or a list of parts."""

    role: Literal["user", "system", "developer", "assistant", "tool"]
    content: Any = None
    context: Any = None
    name: str | None = None
    call_id: str | None = None
    tool_name: Any = None
    tool_call_id: str | None = None
    stop_reason: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class RunShieldRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`params` must be empty: shields have their parameters in the settings."""

    shield_id: str
    messages: list[SafetyMessage]
    params: dict[str, Any] | None = None


class RunShieldResponse(Struct, frozen=True, omit_defaults=True):
    violation: SafetyViolation | None = None


class ModerationRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`model` is the id of a shield."""

    model: str
    input: str | list[str]


class ModerationResult(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`flagged` is whether the shield objects, at any level. `categories` holds what it objects to."""

    flagged: bool
    metadata: dict[str, Any]
    categories: dict[str, bool] | None = None
    user_message: str | None = None


class ModerationResponse(Struct, frozen=True, kw_only=True):
    """The results are in the order of the input."""

    id: str
    model: str
    results: list[ModerationResult]
