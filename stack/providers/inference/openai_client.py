"""The connection to one OpenAI-compatible server: sends requests through `httpx2`, returns raw responses.

The HTTP client is imported on first use (0.3 s), in a thread, or earlier by `warm_up()`.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import threading
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from stack.errors import ReplaystackError, UpstreamFailed, UpstreamTimeout
from stack.gc_tuning import freeze_what_is_there
from stack.providers.inference.openai_errors import error_of
from stack.providers.inference.settings import InferenceSettings, flavour_of, is_loopback, shown_url

if TYPE_CHECKING:
    import httpx2

USER_AGENT = "replaystack"
MAX_ERROR_BYTES = 64 * 1024


class Refused(Exception):
    """The server responded with an error status. `body` holds at most 64 KiB."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.headers = headers
        self.body = body


def _load() -> None:
    """Imports what a client needs, and stops the HTTP client from logging each request with its URL at
    INFO."""
    for module in ("httpx2", "stack.providers.inference.plain_http"):
        importlib.import_module(module)
    logger = logging.getLogger("httpx2")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.WARNING)
    freeze_what_is_there()
    _loaded.set()


_loaded = threading.Event()


async def warm_up() -> None:
    """Imports the HTTP client in a thread, so that the first turn does not have to wait for it."""
    if not _loaded.is_set():
        await asyncio.to_thread(_load)


class OpenAIClient:
    """The connection and the interpretation of its failures. Create it anywhere; use it in one event loop."""

    def __init__(self, settings: InferenceSettings) -> None:
        self.settings = settings
        self.flavour = flavour_of(settings)
        self.base_url = shown_url(settings.base_url)
        self.where = f"The model server {settings.id!r} ({self.base_url})"
        self._client: httpx2.AsyncClient | None = None
        self._urls: dict[str, httpx2.URL] = {}

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> httpx2.Response:
        """Returns the response with its body unread; close it. Raises Refused and the errors that `broken`
        converts."""
        client = await self._ready()
        return await client.send(client.build_request("GET", self._url(path), params=params), stream=True)

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> httpx2.Response:
        """Like `get`; `body` is JSON and is sent unchanged."""
        client = await self._ready()
        named = {"content-type": "application/json", **headers}
        request = client.build_request("POST", self._url(path), content=body, headers=named)
        return await client.send(request, stream=True)

    def _url(self, path: str) -> httpx2.URL:
        """Returns a URL under `base_url`, whose query is kept. Results are cached: parsing the URL for each
        request takes as long as everything else in building it."""
        if path not in self._urls:
            import httpx2

            base, mark, query = self.settings.base_url.partition("?")
            self._urls[path] = httpx2.URL(f"{base.rstrip('/')}{path}{mark}{query}")
        return self._urls[path]

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _ready(self) -> httpx2.AsyncClient:
        await warm_up()
        if self._client is None:
            self._client = self._new_client()
        return self._client

    def _new_client(self) -> httpx2.AsyncClient:
        import httpx2

        from stack.providers.inference import plain_http

        settings = self.settings
        headers = {"accept": "application/json", "accept-encoding": "identity", "user-agent": USER_AGENT}
        if settings.api_key:
            headers["authorization"] = f"Bearer {settings.api_key}"
        loopback = is_loopback(urlsplit(settings.base_url).hostname or "")
        return httpx2.AsyncClient(
            transport=plain_http.transport_for(settings.base_url),
            timeout=httpx2.Timeout(None, connect=settings.connect_timeout_s),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=30.0),
            follow_redirects=False,
            trust_env=not loopback,
            headers=headers | {name.lower(): value for name, value in settings.headers.items()},
            event_hooks={"response": [_refuse]},
        )

    def error(self, refused: Refused, model: str | None) -> ReplaystackError:
        """Converts a refusal to an error of this project."""
        error = error_of(
            refused.status,
            refused.headers,
            refused.body,
            where=self.where,
            provider=self.settings.id,
            model=model,
        )
        error.detail = self.without_key(error.detail)
        return error

    def without_key(self, text: str) -> str:
        """Returns the text with the API key masked: some servers quote it."""
        key = self.settings.api_key
        return text.replace(key, "[api_key]") if key else text

    def broken(self, error: Exception) -> ReplaystackError:
        """Converts a failure below HTTP to an error of this project. Raises any other error unchanged."""
        import httpx2

        if isinstance(error, httpx2.ConnectTimeout):
            return self.timeout("accepted no connection", self.settings.connect_timeout_s)
        if isinstance(error, httpx2.ConnectError):
            return UpstreamFailed(
                f"{self.where} cannot be reached ({error}). Check that it runs and that base_url is right."
            )
        if isinstance(error, httpx2.TransportError):
            return UpstreamFailed(f"{self.where} broke off: {error or type(error).__name__}.")
        raise error

    def timeout(self, what: str, timeout_s: float) -> UpstreamTimeout:
        return UpstreamTimeout(f"{self.where} {what} within {timeout_s:g} s.")


async def _refuse(response: httpx2.Response) -> None:
    """Raises Refused with a bounded body if the status is not a success."""
    if response.status_code != 200:
        body = await read(response, MAX_ERROR_BYTES)
        raise Refused(response.status_code, response.headers, body)


def kind_of(response: httpx2.Response) -> str:
    """Returns the media type in lower case, without parameters."""
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


def body_of(response: httpx2.Response) -> AsyncIterator[bytes]:
    """Yields the parts of a body as they arrive, decoded if it was encoded."""
    # Without an encoding, the raw stream avoids the layers that decode and count.
    if "content-encoding" in response.headers:
        return response.aiter_bytes()
    return response.stream.__aiter__()  # type: ignore[union-attr]


async def read(response: httpx2.Response, limit: int) -> bytes:
    """Returns the first `limit` bytes of a body."""
    taken = bytearray()
    async for piece in body_of(response):
        taken += piece
        if len(taken) >= limit:
            break
    return bytes(taken[:limit])


async def drain(pieces: AsyncIterator[bytes]) -> None:
    """Reads the rest after [DONE], the end of the transfer encoding, so that the connection can be reused."""
    try:
        async with asyncio.timeout(0.2):
            async for _ in pieces:
                pass
    except Exception:  # noqa: S110
        pass  # The answer is complete; the connection is closed instead of kept.
