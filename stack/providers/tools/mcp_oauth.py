"""Authorization at MCP servers: OAuth tokens, kept in private files.

Imports the SDK: import this module only in the thread of MCP clients, or in a command.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import msgspec
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)
from msgspec import Struct
from pydantic import AnyUrl

from stack.providers.tools.settings import OAuthSettings

FOLDER = "oauth"
"""The folder of the tokens in the data folder."""

Visit = Callable[[str], Awaitable[AuthorizationCodeResult]]
"""Lets a person visit the URL and returns what the authorization server then sent to the redirect URI."""


class _Content(Struct, omit_defaults=True):
    """The content of a token file; `expires_at` is in seconds since 1970."""

    tokens: dict[str, Any] | None = None
    client: dict[str, Any] | None = None
    expires_at: float | None = None


class TokenFile:
    """The tokens for one server, and the client that was registered for them. Without a `folder` they are kept in
    memory."""

    def __init__(self, folder: Path | None, url: str, oauth: OAuthSettings) -> None:
        name = hashlib.sha256("\0".join((url, oauth.grant, oauth.client_id or "")).encode()).hexdigest()[:32]
        self._path = None if folder is None else folder / FOLDER / f"{name}.json"
        self._configured = _configured_client(oauth)
        self._content = _Content()
        if self._path is not None:
            with suppress(OSError, msgspec.MsgspecError):
                self._content = msgspec.json.decode(self._path.read_bytes(), type=_Content)

    @property
    def expires_at(self) -> float | None:
        return self._content.expires_at

    async def get_tokens(self) -> OAuthToken | None:
        return None if self._content.tokens is None else OAuthToken.model_validate(self._content.tokens)

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self._content.tokens = tokens.model_dump(mode="json", exclude_none=True)
        self._content.expires_at = None if tokens.expires_in is None else time.time() + tokens.expires_in
        self._write()

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        if self._configured is not None or self._content.client is None:
            return self._configured
        return OAuthClientInformationFull.model_validate(self._content.client)

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self._content.client = client_info.model_dump(mode="json", exclude_none=True)
        self._write()

    def _write(self) -> None:
        if self._path is None:
            return
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        partial = self._path.with_suffix(f".{os.getpid()}")
        partial.touch(mode=0o600)
        partial.write_bytes(msgspec.json.encode(self._content))
        partial.replace(self._path)


class _StoredTokens(OAuthClientProvider):
    """Knows when stored tokens expire, so that they are refreshed: the SDK takes them as valid, and would ask for a new
    authorization when they are refused."""

    async def _initialize(self) -> None:
        await super()._initialize()
        storage = self.context.storage
        if isinstance(storage, TokenFile):
            self.context.token_expiry_time = storage.expires_at


def auth_for(
    name: str, url: str, oauth: OAuthSettings, tokens: TokenFile, visit: Visit | None = None
) -> httpx2.Auth:
    """Returns the authorization of requests to a server. `name` is that of the toolgroup. Without `visit`, a new
    authorization that needs a person fails."""
    if oauth.grant == "client_credentials":
        assert oauth.client_id is not None and oauth.client_secret is not None
        return ClientCredentialsOAuthProvider(
            url,
            tokens,
            client_id=oauth.client_id,
            client_secret=oauth.client_secret,
            scope=oauth.scope,
            issuer=oauth.issuer,
        )
    urls: list[str] = []

    async def redirect(to: str) -> None:
        if visit is None:
            raise PermissionError(f"a person must authorize this server: replaystack authorize {name}")
        urls.append(to)

    async def callback() -> AuthorizationCodeResult:
        assert visit is not None
        return await visit(urls.pop())

    return _StoredTokens(
        url,
        OAuthClientMetadata(
            client_name="Replaystack",
            redirect_uris=[AnyUrl(oauth.redirect_uri)],
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
            scope=oauth.scope,
        ),
        tokens,
        redirect,
        callback,
        client_metadata_url=oauth.client_id if _is_url(oauth.client_id) else None,
    )


def _is_url(client_id: str | None) -> bool:
    """Returns whether a client id is the URL of the client's metadata, which needs no registration."""
    return client_id is not None and client_id.startswith("https://")


def _configured_client(oauth: OAuthSettings) -> OAuthClientInformationFull | None:
    if oauth.client_id is None or _is_url(oauth.client_id):
        return None
    return OAuthClientInformationFull(
        client_id=oauth.client_id,
        client_secret=oauth.client_secret,
        redirect_uris=[AnyUrl(oauth.redirect_uri)],
        token_endpoint_auth_method="client_secret_basic" if oauth.client_secret else "none",
        issuer=oauth.issuer,
    )
