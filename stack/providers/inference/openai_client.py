"""One OpenAI-compatible server as a connection: requests go out through the `openai` SDK, raw responses come back.

The SDK makes the requests; their answers are read raw, because building its models costs about 0.1 ms of CPU per
chunk. It is imported on first use (1 s), in a thread, or before by `warm_up()`.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import threading
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from stack.errors import ReplaystackError, UpstreamFailed, UpstreamTimeout
from stack.garbage import freeze_what_is_there
from stack.providers.inference.openai_errors import error_of
from stack.providers.inference.settings import InferenceSettings, flavour_of, is_loopback, shown_url

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI

MAX_ERROR_BYTES = 64 * 1024


class Refused(Exception):
    """The server answered with something else than success. `body` holds at most 64 KiB."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.headers = headers
        self.body = body


def _load_sdk() -> None:
    """Imports what a client needs. The HTTP client would log each request with its URL at INFO."""
    for module in ("httpx2", "openai.lib._client_auth", "stack.providers.inference.plain_http"):
        importlib.import_module(module)
    for name in ("httpx2", "openai"):
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)
    freeze_what_is_there()
    _loaded.set()


_loaded = threading.Event()


async def warm_up() -> None:
    """Imports the SDK in a thread, so that the first turn need not wait for it."""
    if not _loaded.is_set():
        await asyncio.to_thread(_load_sdk)


class OpenAIClient:
    """The connection and what its failures mean. Make it anywhere; use it in one event loop."""

    def __init__(self, settings: InferenceSettings) -> None:
        self.settings = settings
        self.flavour = flavour_of(settings)
        self.base_url = shown_url(settings.base_url)
        self.where = f"The model server {settings.id!r} ({self.base_url})"
        self._client: AsyncOpenAI | None = None
        # What is sent instead of the key where there is none; made with the client.
        self._credentials: dict[str, Any] = {}

    async def get(self, path: str) -> httpx2.Response:
        """The response with its body unread; close it. Raises Refused and what `broken` understands."""
        client = await self._ready()
        import httpx2

        return await client.get(
            path,
            cast_to=httpx2.Response,
            options={"headers": self._credentials},
            stream=True,
            stream_cls=None,
        )

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> httpx2.Response:
        """As `get`; `body` is JSON and is sent as it is."""
        client = await self._ready()
        import httpx2

        return await client.post(
            path,
            cast_to=httpx2.Response,
            content=body,
            options={"headers": {**self._credentials, **headers}},
            stream=True,
            stream_cls=None,
        )

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _ready(self) -> AsyncOpenAI:
        await warm_up()
        if self._client is None:
            self._client = self._new_client()
        return self._client

    def _new_client(self) -> AsyncOpenAI:
        import httpx2
        import openai

        from stack.providers.inference import plain_http

        settings = self.settings
        timeout = httpx2.Timeout(None, connect=settings.connect_timeout_s)
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=30.0)
        loopback = is_loopback(urlsplit(settings.base_url).hostname or "")
        http_client = httpx2.AsyncClient(
            transport=plain_http.transport_for(settings.base_url),
            timeout=timeout,
            limits=limits,
            follow_redirects=False,
            trust_env=not loopback,
            headers={"accept-encoding": "identity"},
            event_hooks={"response": [_refuse]},
        )
        openai_itself = self.flavour == "openai"
        client = openai.AsyncOpenAI(
            base_url=settings.base_url,
            api_key=settings.api_key or "none",
            # The SDK would send these to any host, whoever runs it.
            organization=None if openai_itself else "",
            project=None if openai_itself else "",
            max_retries=0,
            timeout=timeout,
            http_client=http_client,
            default_headers=settings.headers,
        )
        if not openai_itself:
            client.organization = client.project = None
        if not settings.api_key:
            self._credentials = {"Authorization": openai.Omit()}
        return client

    def error(self, refused: Refused, model: str | None) -> ReplaystackError:
        """What a refusal means here."""
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
        """The text with our key masked: some servers quote it."""
        key = self.settings.api_key
        return text.replace(key, "[api_key]") if key else text

    def broken(self, error: Exception) -> ReplaystackError:
        """A failure below HTTP: `error` is the SDK's, whose cause is the HTTP client's, or that itself."""
        import httpx2

        # The HTTP client's errors have causes of their own.
        cause = error if isinstance(error, httpx2.TransportError) else error.__cause__
        if isinstance(cause, httpx2.ConnectTimeout):
            return self.timeout("accepted no connection", self.settings.connect_timeout_s)
        if isinstance(cause, httpx2.ConnectError):
            return UpstreamFailed(
                f"{self.where} cannot be reached ({cause}). Check that it runs and that base_url is right."
            )
        if isinstance(cause, httpx2.TransportError):
            return UpstreamFailed(f"{self.where} broke off: {cause or type(cause).__name__}.")
        raise error

    def timeout(self, what: str, timeout_s: float) -> UpstreamTimeout:
        return UpstreamTimeout(f"{self.where} {what} within {timeout_s:g} s.")


async def _refuse(response: httpx2.Response) -> None:
    """Ends what did not succeed here, with a bounded body: the SDK would read an error's body whatever its size."""
    if response.status_code != 200:
        body = await read(response, MAX_ERROR_BYTES)
        raise Refused(response.status_code, response.headers, body)


def kind_of(response: httpx2.Response) -> str:
    """Its media type, lower case, without parameters."""
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


def body_of(response: httpx2.Response) -> AsyncIterator[bytes]:
    """The pieces of a body as they arrive, decoded where it was encoded."""
    # Without an encoding, the raw stream spares the layers that decode and count.
    if "content-encoding" in response.headers:
        return response.aiter_bytes()
    return response.stream.__aiter__()  # type: ignore[union-attr]


async def read(response: httpx2.Response, limit: int) -> bytes:
    """The first `limit` bytes of a body."""
    taken = bytearray()
    async for piece in body_of(response):
        taken += piece
        if len(taken) >= limit:
            break
    return bytes(taken[:limit])


async def drain(pieces: AsyncIterator[bytes]) -> None:
    """Reads what follows [DONE], the end of the transfer encoding, so that the connection can be used again."""
    try:
        async with asyncio.timeout(0.2):
            async for _ in pieces:
                pass
    except Exception:  # noqa: S110
        pass  # The answer is complete; the connection is closed instead of kept.
