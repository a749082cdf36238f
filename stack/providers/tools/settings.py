"""The settings of one toolgroup, from a `[[toolgroups]]` table of the settings file."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from stack.providers.inference.settings import Seconds


class ApprovalRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Calls that need approval: of these `tools` (all if empty), and only if every argument named in `arguments`
    (a JSON path such as `$.path`) contains a match of its pattern (RE2)."""

    tools: list[str] = []
    arguments: dict[str, str] = {}


class ToolGroupSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One toolgroup. `id` selects its kind: `mcp::<name>` (with `command` or `url`), `builtin::code_interpreter`,
    `builtin::rag`, or `builtin::websearch` (with `api_key`).

    `repeatable` lists the tools that may be called again after a crash, or `["*"]` for all. `approval` lists the calls
    that need approval; `approval_timeout_s` is the time after which the answer is a refusal. `timeout_s` limits one call.
    `max_concurrent` limits the calls that run at the same time.
    """

    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$")]
    timeout_s: Seconds = 60.0
    max_concurrent: Annotated[int, Meta(ge=1, le=256)] = 8
    repeatable: list[str] = []
    approval: list[ApprovalRule] = []
    approval_timeout_s: Annotated[float, Meta(gt=0)] = 86_400.0
