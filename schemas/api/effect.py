"""Effects: calls of tools by the server, and how an operator settles one whose outcome is unknown (not part of the
Llama Stack specification)."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

EffectStatus = Literal["running", "suspended", "done", "failed", "denied", "unknown"]


class Effect(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A call of a tool. `key` is the SHA-256 (hex) of tool, canonical arguments and turn, and the idempotency key that
    the tool was given. `status` unknown means that it may have run, and its result was lost. `parent` is the call whose
    code made this one."""

    key: str
    status: str
    agent_id: str | None = None
    session_id: str
    turn_id: str
    call_id: str
    tool_name: str
    toolgroup: str
    arguments: str
    repeatable: bool
    attempts: int
    called_at: str
    returned_at: str | None = None
    content: Any = None
    parent: str | None = None
    settled_at: str | None = None
    settled_by: str | None = None
    settled_reason: str | None = None


class SettleEffectRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The decision on an effect of unknown outcome: `done` or `failed` with the `content` that takes the place of the
    lost result, or `retry`, which calls the tool again. Later turns see the result."""

    decision: Literal["done", "failed", "retry"]
    content: str | None = None
    reason: str | None = None
