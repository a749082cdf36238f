"""Checks the settings of a toolgroup beyond their types."""

from __future__ import annotations

from pathlib import PurePath

from stack.errors import Invalid
from stack.providers.patterns import check as check_patterns
from stack.providers.tools.settings import CODE_INTERPRETER, WEB_SEARCH, ToolGroupSettings

KINDS = ("mcp", "builtin")


def check(settings: ToolGroupSettings) -> None:
    """Checks combinations of values. Raises ValueError with the remedy."""
    kind, _, name = settings.id.partition("::")
    if kind not in KINDS or not name:
        raise ValueError("The id of a toolgroup begins with `mcp::` or `builtin::`.")
    try:
        check_patterns(
            [pattern for rule in settings.approval for pattern in rule.arguments.values()], "approval"
        )
    except Invalid as error:
        raise ValueError(error.detail) from None
    if settings.id == CODE_INTERPRETER:
        _check_code_interpreter(settings)
    elif settings.engine or settings.python or settings.memory_bytes:
        raise ValueError(f"engine, python and memory_bytes are for {CODE_INTERPRETER}.")
    if settings.id == WEB_SEARCH:
        if settings.api_key and settings.provider is None:
            raise ValueError("provider is missing: brave or tavily.")
    elif settings.provider or settings.api_key or settings.base_url:
        raise ValueError(f"provider, api_key and base_url are for {WEB_SEARCH}.")
    if kind == "mcp":
        _check_mcp(settings)
    elif _names_mcp_server(settings):
        raise ValueError("command, env, cwd, url, headers, oauth and args_may_set are for `mcp::<name>`.")


def _check_code_interpreter(settings: ToolGroupSettings) -> None:
    if settings.engine != "sandbox":
        if settings.python is not None:
            raise ValueError('python is for `engine = "sandbox"`.')
    elif settings.python is None or not PurePath(settings.python).is_absolute():
        raise ValueError(
            'engine = "sandbox" needs `python`, the absolute path of an interpreter, such as /srv/data-env/bin/python.'
        )


def _names_mcp_server(settings: ToolGroupSettings) -> bool:
    process = settings.command or settings.env or settings.cwd
    return bool(process or settings.url or settings.headers or settings.oauth or settings.args_may_set)


def _check_mcp(settings: ToolGroupSettings) -> None:
    if settings.command:
        if settings.url or settings.headers or settings.oauth or settings.args_may_set:
            raise ValueError("url, headers, oauth and args_may_set are not for a server that is a `command`.")
        if settings.cwd is not None and not PurePath(settings.cwd).is_absolute():
            raise ValueError(f"cwd = {settings.cwd!r} must be an absolute path.")
        return
    if settings.env or settings.cwd:
        raise ValueError("env and cwd are for a server that is a `command`.")
    if settings.url is None and "url" not in settings.args_may_set:
        raise ValueError('Give a `command` or a `url` (or `args_may_set = ["url"]`).')
    if settings.oauth is not None:
        if settings.url is None:
            raise ValueError("oauth needs a `url`.")
        oauth = settings.oauth
        if oauth.grant == "client_credentials" and not (
            oauth.client_id and oauth.client_secret and oauth.issuer
        ):
            raise ValueError("oauth: client_credentials needs client_id, client_secret and issuer.")
