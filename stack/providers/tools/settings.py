"""The settings of one toolgroup, from a `[[toolgroups]]` table of the settings file."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from stack.providers.inference.settings import Seconds

CODE_INTERPRETER = "builtin::code_interpreter"
RAG = "builtin::rag"
WEB_SEARCH = "builtin::websearch"


class ApprovalRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Calls that need approval: of these `tools` (all if empty), and only if every argument named in `arguments`
    (a JSON path such as `$.path`) contains a match of its pattern (RE2)."""

    tools: list[str] = []
    arguments: dict[str, str] = {}


class OAuthSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How this server gets tokens for an MCP server.

    `client_credentials` needs `client_id`, `client_secret` and `issuer`, the URL of the authorization server, which alone
    is sent the secret. `authorization_code` needs a person once: `replaystack authorize ID`; the tokens are then
    stored in the data folder and refreshed. Without a `client_id` a client is registered at the authorization server;
    a `client_id` that is an https URL is the address of the client's metadata. An authorization server that is not
    public must be the `issuer`.
    """

    grant: Literal["client_credentials", "authorization_code"]
    client_id: str | None = None
    client_secret: str | None = None
    issuer: Annotated[str, Meta(pattern=r"^https?://[^\s]+$")] | None = None
    scope: str | None = None
    redirect_uri: Annotated[str, Meta(pattern=r"^https?://[^\s]+$")] = "http://127.0.0.1:8322/callback"


class ToolGroupSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One toolgroup. `id` selects its kind: `mcp::<name>` (with `command` or `url`), `builtin::code_interpreter`,
    `builtin::rag`, or `builtin::websearch` (with `api_key`).

    `repeatable` lists the tools that may be called again after a crash, or `["*"]` for all. `approval` lists the calls
    that need approval; `approval_timeout_s` is the time after which the answer is a refusal. `timeout_s` limits one call.
    `max_concurrent` limits the calls that run at the same time.

    The code interpreter has two engines: `monty`, an interpreter of a subset of Python, whose code may call other tools,
    and `sandbox`, which executes code with the interpreter `python` of a virtual environment in a bubblewrap sandbox.
    `memory_bytes` limits the memory of one execution (64 MiB, or 1 GiB in the sandbox, if absent). Code may use half of
    `timeout_s` as computing time.

    Web search uses the `provider` with `api_key`, at `base_url` instead of the provider's own address. Without an
    `api_key` the group does not exist.

    An MCP server is a `command` with its arguments, with the variables `env` and the working directory `cwd`; or a `url`
    (streamable HTTP), to which `headers` are sent. With `trust_annotations` a tool that its server calls read-only or
    idempotent is repeatable. `args_may_set` lists what `args` of an agent's toolgroup may give: `url` (public https
    only) and `headers`. A result larger than `max_result_bytes` is an error.
    """

    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$")]
    engine: Literal["monty", "sandbox"] | None = None
    python: str | None = None
    memory_bytes: Annotated[int, Meta(ge=2**24, le=2**40)] | None = None
    provider: Literal["brave", "tavily"] | None = None
    api_key: str | None = None
    base_url: Annotated[str, Meta(pattern=r"^https?://[^\s]+$")] | None = None
    timeout_s: Seconds = 60.0
    max_concurrent: Annotated[int, Meta(ge=1, le=256)] = 8
    repeatable: list[str] = []
    approval: list[ApprovalRule] = []
    approval_timeout_s: Annotated[float, Meta(gt=0)] = 86_400.0
    max_result_bytes: Annotated[int, Meta(ge=1024, le=8 * 2**20)] = 2**20
    command: list[str] = []
    env: dict[str, str] = {}
    cwd: str | None = None
    url: Annotated[str, Meta(pattern=r"^https?://[^\s]+$")] | None = None
    headers: dict[str, str] = {}
    oauth: OAuthSettings | None = None
    trust_annotations: bool = False
    args_may_set: list[Literal["url", "headers"]] = []
