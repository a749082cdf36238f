"""The HTTP client for MCP servers: checks where requests go, limits what comes back, and makes every failure the answer
to its request.

The SDK ends a whole connection, with all calls in it, when a request fails below HTTP; and it reports every refusal
with the same text. Imports the SDK's HTTP client: import this module only in the thread of MCP clients.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import httpx2
import msgspec
from msgspec import Struct

from stack.errors import Invalid, ReplaystackError
from stack.providers.fetch.addresses import Network
from stack.providers.fetch.guarded import checked_addresses
from stack.providers.fetch.resolver import Resolve, resolve
from stack.providers.fetch.target import parse, shown_url
from stack.providers.inference.settings import is_loopback
from stack.providers.tools.mcp_lines import MAX_MESSAGE_BYTES, Budget

CONNECT_S = 10.0
WRITE_S = 30.0
SHORT_S = 5.0
"""Time for the answer to a notification, and to the end of a session, in seconds."""
GET_BYTES_PER_S = 256 * 1024.0
"""Above this rate, the stream of a server's own messages is read more slowly."""

# Codes of the errors that are made here.
NOT_SENT = -32_098
"""The request was not sent, or certainly not executed."""
LOST = -32_097
"""The request was sent, and its outcome is unknown."""
SESSION_GONE = -32_096
"""The server no longer knows the session; the request was not executed."""

_ANSWER_OF_OURS = "mcp_failure"
_SESSION_HEADER = "mcp-session-id"
_NOT_EXECUTED = frozenset((401, 402, 403, 405, 406, 407, 411, 413, 414, 415, 421, 429, 431))

Origin = tuple[str, str, int]


class Reach(Struct, frozen=True, kw_only=True):
    """Which servers may be contacted: those of `trusted` wherever they are, and all others only at public addresses
    with https. If a trusted one is on loopback, all of loopback is. `resolver` and `allow` are as in
    `GuardedFetcher`."""

    trusted: frozenset[Origin] = frozenset()
    resolver: Resolve = resolve
    allow: Sequence[Network] = ()
    ports: frozenset[int] = frozenset((443,))

    def trusts(self, url: str) -> bool:
        origin = origin_of(url)
        local = is_loopback(origin[1]) and any(is_loopback(host) for _, host, _ in self.trusted)
        return local or origin in self.trusted


class _RpcError(Struct):
    error: dict[str, Any]
    jsonrpc: str


class _Call(Struct):
    method: str = ""


def origin_of(url: str) -> Origin:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def client(reach: Reach, headers: Mapping[str, str], auth: httpx2.Auth | None = None) -> httpx2.AsyncClient:
    """Returns a client for one server. Proxies of the environment are not used."""
    return httpx2.AsyncClient(
        transport=GuardedTransport(reach),
        headers={"user-agent": "replaystack", **headers, "accept-encoding": "identity"},
        timeout=httpx2.Timeout(None, connect=CONNECT_S, write=WRITE_S),
        follow_redirects=False,
        trust_env=False,
        auth=None if auth is None else _Contained(auth),
    )


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Never raises for a failure of the server: it returns an error of JSON-RPC with one of the codes above."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._inner = httpx2.AsyncHTTPTransport(verify=ssl.create_default_context(), trust_env=False)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if failure := request.extensions.get(_ANSWER_OF_OURS):
            return _failure(request, NOT_SENT, failure)
        shown = shown_url(str(request.url))
        if request.method == "DELETE" or _is_notification(request):
            request.extensions = request.extensions | {
                "timeout": {**request.extensions.get("timeout", {}), "read": SHORT_S}
            }
        response: httpx2.Response | None = None
        try:
            response = await self._sent(request)
            return await _checked(request, response, shown)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            return _failure(
                request, NOT_SENT, f"{shown} cannot be reached ({error or type(error).__name__})."
            )
        except (Invalid, ReplaystackError) as error:
            return _failure(request, NOT_SENT, error.detail)
        except (httpx2.TransportError, _TooLarge) as error:
            if response is not None:
                await response.aclose()
            return _failure(request, LOST, f"{shown}: {error or type(error).__name__}.")

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _sent(self, request: httpx2.Request) -> httpx2.Response:
        url = str(request.url)
        if self._reach.trusts(url):
            return await self._inner.handle_async_request(request)
        target = parse(url, self._reach.ports)
        addresses = await checked_addresses(
            target, self._reach.resolver, self._reach.allow, remedy="Configure the server in the settings."
        )
        failure: httpx2.TransportError | None = None
        for address in addresses:
            # The connection goes to the address that was checked; TLS and `Host` still have the name.
            request.url = request.url.copy_with(host=str(address))
            request.extensions = request.extensions | {"sni_hostname": target.host}
            try:
                return await self._inner.handle_async_request(request)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                failure = error
        assert failure is not None
        raise failure


class _TooLarge(Exception):
    pass


async def _checked(request: httpx2.Request, response: httpx2.Response, shown: str) -> httpx2.Response:
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        await response.aclose()
        return _failure(
            request, LOST, f"{shown} answered with the encoding {encoding[:40]!r}, which was not accepted."
        )
    content_type = response.headers.get("content-type", "").lower()
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    if response.status_code < 400 and content_type.startswith("text/event-stream"):
        rate = Budget(GET_BYTES_PER_S) if request.method == "GET" else None
        response.stream = _Limited(response.stream, rate)
        return response
    body = b"".join([part async for part in _Limited(response.stream, None)])
    await response.aclose()
    if response.status_code >= 400 and not _is_error(body):
        return _refused(request, response, shown)
    headers = [(name, value) for name, value in response.headers.raw if name.lower() != b"transfer-encoding"]
    return httpx2.Response(response.status_code, headers=headers, content=body, request=request)


def _refused(request: httpx2.Request, response: httpx2.Response, shown: str) -> httpx2.Response:
    """Names the status, and keeps it and its headers, which authorization needs."""
    status = response.status_code
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
    if status == 404:
        if _SESSION_HEADER not in request.headers:
            return httpx2.Response(404, request=request)
        code = SESSION_GONE
    else:
        code = NOT_SENT if status in _NOT_EXECUTED else LOST
    return _failure(
        request, code, f"{shown} answered {status} {phrase}".rstrip() + ".", status, response.headers
    )


def _failure(
    request: httpx2.Request,
    code: int,
    message: str,
    status: int = 502,
    headers: Mapping[str, str] | None = None,
) -> httpx2.Response:
    kept = {
        name: value
        for name, value in (headers or {}).items()
        if name.lower() in ("www-authenticate", "retry-after")
    }
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}
    return httpx2.Response(
        status,
        headers={"content-type": "application/json", **kept},
        content=msgspec.json.encode(error),
        request=request,
    )


def _is_error(body: bytes) -> bool:
    try:
        msgspec.json.decode(body, type=_RpcError)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _is_notification(request: httpx2.Request) -> bool:
    if request.method != "POST" or not request.headers.get("content-type", "").startswith("application/json"):
        return False
    try:
        return msgspec.json.decode(request.content, type=_Call).method.startswith("notifications/")
    except (msgspec.MsgspecError, httpx2.RequestNotRead):
        return False


class _Limited(httpx2.AsyncByteStream):
    """A body of at most MAX_MESSAGE_BYTES; or of any size, slowed down to a rate."""

    def __init__(self, stream: httpx2.AsyncByteStream, rate: Budget | None) -> None:
        self._stream = stream
        self._rate = rate

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for part in self._stream:
            size += len(part)
            if self._rate is None:
                if size > MAX_MESSAGE_BYTES:
                    raise _TooLarge(f"the answer is larger than {MAX_MESSAGE_BYTES} bytes")
            elif not self._rate.take(len(part)):
                await asyncio.sleep(len(part) / GET_BYTES_PER_S)
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Contained(httpx2.Auth):
    """Authorization whose failure is the answer to its request."""

    def __init__(self, inner: httpx2.Auth) -> None:
        self._inner = inner

    async def async_auth_flow(self, request: httpx2.Request):  # type: ignore[no-untyped-def]
        flow = self._inner.async_auth_flow(request)
        try:
            outgoing = await flow.__anext__()
            while True:
                outgoing = await flow.asend((yield outgoing))
        except StopAsyncIteration:
            return
        except Exception as error:
            failure = f"Authorization failed: {str(error)[:500] or type(error).__name__}"
        finally:
            await flow.aclose()
        yield httpx2.Request("POST", request.url, extensions={_ANSWER_OF_OURS: failure})
