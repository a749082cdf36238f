"""Decisions that turns wait for: approvals of calls, and questions of tools (not part of the Llama Stack
specification)."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct


class Approval(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A decision that a call needs. `kind` is approval, or elicitation: then the tool asks for `request`. `status` is
    pending, void (the turn ended first), or the decision; `digest` the SHA-256 (hex) of tool and arguments to which it is
    bound."""

    approval_id: str
    kind: str
    status: str
    agent_id: str | None = None
    session_id: str
    turn_id: str
    call_id: str
    tool_name: str
    toolgroup: str
    arguments: str
    digest: str
    request: Any = None
    requested_at: str
    deadline: str
    decided_at: str | None = None
    decided_by: str | None = None
    reason: str | None = None


class DecideRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A decision: approve or deny of an approval; accept (with `content`), decline or cancel of an elicitation. The model
    sees `reason`. With `digest` the decision is refused unless the call is the one that was shown."""

    decision: Literal["approve", "deny", "accept", "decline", "cancel"]
    reason: str | None = None
    content: dict[str, Any] | None = None
    digest: str | None = None
