"""Any OpenAI-compatible server (OpenAI, vLLM, Ollama, llama.cpp, LM Studio), through the `openai` SDK.

The SDK makes the request; its raw response is read here, because building its models costs about 0.1 ms of CPU
per chunk. It is imported on first use (1 s), in a thread, or before by `warm_up()`.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import random
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from schemas.api.model import Model
from stack.errors import ReplaystackError, UpstreamFailed, UpstreamTimeout
from stack.garbage import freeze_what_is_there
from stack.providers.inference.openai_errors import error_of, quota_is_spent, retry_after_s
from stack.providers.inference.openai_request import encode_request
from stack.providers.inference.openai_stream import AnswerStream
from stack.providers.inference.port import Capabilities, InferenceEvent, InferenceRequest, Opened
from stack.providers.inference.settings import (
    InferenceSettings,
    capabilities_of,
    flavour_of,
    is_loopback,
    shown_url,
)

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI

MODELS_TIMEOUT_S = 5.0
MAX_MODELS_BYTES = 8 * 2**20
MAX_ERROR_BYTES = 64 * 1024
MAX_RETRY_WAIT_S = 5.0
"""A server that asks for a longer wait is reported at once, with its wait: the caller knows better."""
ENDING_S = 2.0
"""How long usage and [DONE] may take once the finish reason is there; the answer is whole without them."""
_RETRIED = frozenset({429, 502, 503, 504})
_STREAM_HEADERS = {"Accept": "text/event-stream"}


class _Refused(Exception):
    """The server answered with something else than success."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.headers = headers
        self.body = body


class _ListedModel(Struct):
    id: str
    created: float | None = None
    owned_by: str | None = None


class _ListedModels(Struct):
    data: list[_ListedModel] | None = None


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


class OpenAICompatible:
    """An inference provider over HTTP. Make it anywhere; use it in one event loop."""

    def __init__(self, settings: InferenceSettings) -> None:
        self.settings = settings
        self.flavour = flavour_of(settings)
        self.base_url = shown_url(settings.base_url)
        self._capabilities = capabilities_of(settings)
        self._where = f"The model server {settings.id!r} ({self.base_url})"
        self._client: AsyncOpenAI | None = None
        # What is sent instead of the key where there is none; made with the client.
        self._credentials: dict[str, Any] = {}

    @property
    def id(self) -> str:
        return self.settings.id

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def models(self) -> list[Model]:
        """What `GET /models` lists. Raises UpstreamFailed, UpstreamTimeout, Unavailable, TooManyRequests."""
        client = await self._ready()
        import httpx2

        try:
            async with asyncio.timeout(MODELS_TIMEOUT_S):
                response = await client.get(
                    "/models",
                    cast_to=httpx2.Response,
                    options={"headers": self._credentials},
                    stream=True,
                    stream_cls=None,
                )
                try:
                    body = await _read(response, MAX_MODELS_BYTES)
                finally:
                    await response.aclose()
        except TimeoutError:
            raise self._timeout("did not list its models", MODELS_TIMEOUT_S) from None
        except _Refused as refused:
            raise self._error(refused, None) from None
        except Exception as error:
            raise self._broken(error) from None
        try:
            listed = msgspec.json.decode(body, type=_ListedModels).data or []
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise UpstreamFailed(
                f"{self._where} did not answer with a list of models. Check base_url: it usually ends in /v1."
            ) from None
        return [self._model(entry) for entry in listed]

    async def infer(
        self, request: InferenceRequest, *, headers: Mapping[str, str]
    ) -> AsyncGenerator[InferenceEvent]:
        """Streams one answer; see the port. Opened comes with the first chunk, so that a server that fails
        before it is reported with a true status."""
        body = encode_request(request, self.flavour)
        loop = asyncio.get_running_loop()
        first_token_by = loop.time() + self.settings.first_token_timeout_s
        response = await self._open(request.model, body, headers, first_token_by)
        # One iterator to the very end: giving up one before it ends closes the connection.
        pieces = _body(response).__aiter__()
        answer = AnswerStream(self._where)
        try:
            opened = False
            async with aclosing(self._chunks(pieces, answer, first_token_by)) as chunks:
                async for events in chunks:
                    if not opened:
                        opened = True
                        yield Opened()
                    for event in events:
                        yield event
            yield answer.finished()
            await _drain(pieces)
        finally:
            await response.aclose()
            if isinstance(pieces, AsyncGenerator):
                await pieces.aclose()

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _chunks(
        self, pieces: AsyncIterator[bytes], answer: AnswerStream, first_by: float
    ) -> AsyncGenerator[list[InferenceEvent]]:
        """The events of each piece that arrives, until the answer is complete or its stream ends. Time runs
        only while a piece is awaited, and a keep-alive comment does not count as one."""
        now = asyncio.get_running_loop().time
        deadline, begun = first_by, False
        while not answer.done:
            try:
                async with asyncio.timeout_at(deadline):
                    piece = await pieces.__anext__()
            except StopAsyncIteration:
                piece = b""
            except TimeoutError:
                if answer.finish_reason is not None:
                    return
                if begun:
                    raise self._timeout("stopped sending", self.settings.stall_timeout_s) from None
                raise self._timeout("sent no first token", self.settings.first_token_timeout_s) from None
            except ReplaystackError:
                raise
            except Exception as error:
                if answer.finish_reason is not None:
                    return
                raise self._broken(error) from None
            count, events = answer.feed(piece or b"\n")
            if count:
                begun = True
                yield events
                if answer.failure is not None:
                    raise answer.failure
                left_s = self.settings.stall_timeout_s
                deadline = now() + (left_s if answer.finish_reason is None else min(left_s, ENDING_S))
            if not piece:
                return

    async def _open(
        self, model: str, body: bytes, headers: Mapping[str, str], deadline: float
    ) -> httpx2.Response:
        """Sends the request until the server begins an answer, at most `max_retries` times again."""
        attempt = 0
        while True:
            failure: ReplaystackError
            retriable = attempt < self.settings.max_retries
            wait_s = 0.2 * 2**attempt * random.uniform(0.75, 1.25)  # noqa: S311
            try:
                async with asyncio.timeout_at(deadline):
                    return await self._post(body, headers, attempt)
            except TimeoutError:
                raise self._timeout("did not answer", self.settings.first_token_timeout_s) from None
            except _Refused as refused:
                failure = self._error(refused, model)
                asked_s = retry_after_s(refused.headers)
                wait_s = max(wait_s, asked_s or 0.0)
                if (
                    refused.status not in _RETRIED
                    or quota_is_spent(refused.body)
                    or wait_s > MAX_RETRY_WAIT_S
                ):
                    retriable = False
            except ReplaystackError:
                raise
            except Exception as error:
                failure = self._broken(error)
            if not retriable or asyncio.get_running_loop().time() + wait_s > deadline:
                raise failure from None
            await asyncio.sleep(wait_s)
            attempt += 1

    async def _post(self, body: bytes, headers: Mapping[str, str], attempt: int) -> httpx2.Response:
        client = await self._ready()
        import httpx2

        response = await client.post(
            "/chat/completions",
            cast_to=httpx2.Response,
            content=body,
            options={
                "headers": {
                    **_STREAM_HEADERS,
                    **self._credentials,
                    **headers,
                    "x-stainless-retry-count": str(attempt),
                }
            },
            stream=True,
            stream_cls=None,
        )
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind in ("text/html", "application/json"):
            await response.aclose()
            raise UpstreamFailed(
                f"{self._where}: it answered with {kind} instead of an event stream. Check base_url."
            )
        return response

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

    def _error(self, refused: _Refused, model: str | None) -> ReplaystackError:
        error = error_of(
            refused.status,
            refused.headers,
            refused.body,
            where=self._where,
            provider=self.id,
            model=model,
        )
        if self.settings.api_key:
            error.detail = error.detail.replace(self.settings.api_key, "[api_key]")
        return error

    def _broken(self, error: Exception) -> ReplaystackError:
        """A failure below HTTP: `error` is the SDK's, whose cause is the HTTP client's, or that itself."""
        import httpx2

        # The HTTP client's errors have causes of their own.
        cause = error if isinstance(error, httpx2.TransportError) else error.__cause__
        if isinstance(cause, httpx2.ConnectTimeout):
            return self._timeout("accepted no connection", self.settings.connect_timeout_s)
        if isinstance(cause, httpx2.ConnectError):
            return UpstreamFailed(
                f"{self._where} cannot be reached ({cause}). Check that it runs and that base_url is right."
            )
        if isinstance(cause, httpx2.TransportError):
            return UpstreamFailed(f"{self._where} broke off: {cause or type(cause).__name__}.")
        raise error

    def _timeout(self, what: str, timeout_s: float) -> UpstreamTimeout:
        return UpstreamTimeout(f"{self._where} {what} within {timeout_s:g} s.")

    def _model(self, entry: _ListedModel) -> Model:
        identifier = f"{self.id}/{entry.id}"
        return Model(
            identifier=identifier,
            provider_id=self.id,
            provider_resource_id=entry.id,
            model_type="embedding" if "embed" in entry.id.lower() else "llm",
            id=identifier,
            created=int(entry.created or 0),
            owned_by=entry.owned_by or self.id,
        )


async def _refuse(response: httpx2.Response) -> None:
    """Ends what did not succeed here, with a bounded body: the SDK would read an error's body whatever its size."""
    if response.status_code != 200:
        body = await _read(response, MAX_ERROR_BYTES)
        raise _Refused(response.status_code, response.headers, body)


def _body(response: httpx2.Response) -> AsyncIterator[bytes]:
    # Without an encoding, the raw stream spares the layers that decode and count.
    if "content-encoding" in response.headers:
        return response.aiter_bytes()
    return response.stream.__aiter__()  # type: ignore[union-attr]


async def _read(response: httpx2.Response, limit: int) -> bytes:
    """The first `limit` bytes of a body."""
    read = bytearray()
    async for piece in _body(response):
        read += piece
        if len(read) >= limit:
            break
    return bytes(read[:limit])


async def _drain(pieces: AsyncIterator[bytes]) -> None:
    """Reads what follows [DONE], the end of the transfer encoding, so that the connection can be used again."""
    try:
        async with asyncio.timeout(0.2):
            async for _ in pieces:
                pass
    except Exception:  # noqa: S110
        pass  # The answer is complete; the connection is closed instead of kept.
