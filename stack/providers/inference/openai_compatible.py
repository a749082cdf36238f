"""An inference provider for any OpenAI-compatible server (OpenAI, vLLM, Ollama, llama.cpp, LM Studio)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from typing import TYPE_CHECKING

from schemas.api.model import Model
from stack.errors import ReplaystackError, UpstreamFailed
from stack.providers.inference.model_list import ListedModel, listed_models
from stack.providers.inference.openai_client import OpenAIClient, Refused, body_of, drain, read
from stack.providers.inference.openai_errors import (
    OptionsRefused,
    may_refuse_options,
    message_of,
    quota_is_spent,
    retry_after_s,
)
from stack.providers.inference.openai_relay import relayed
from stack.providers.inference.openai_request import encode_request
from stack.providers.inference.openai_stream import AnswerStream
from stack.providers.inference.port import (
    Capabilities,
    InferenceEvent,
    InferenceRequest,
    Opened,
    RelayedAnswer,
    RelayedRequest,
    Retrying,
)
from stack.providers.inference.settings import InferenceSettings, capabilities_of

if TYPE_CHECKING:
    import httpx2

MODELS_TIMEOUT_S = 5.0
MAX_MODELS_BYTES = 8 * 2**20
MAX_RETRY_WAIT_S = 5.0
"""If a server asks for a longer wait, in seconds, the error is reported at once with that wait."""
ENDING_S = 2.0
"""How long to wait for usage and [DONE] after the finish reason, in seconds; the answer is complete without
them."""
_RETRIED = frozenset({429, 502, 503, 504, 529})
"""529 is used by several servers and proxies for overload."""
_STREAM_HEADERS = {"Accept": "text/event-stream"}


class OpenAICompatible:
    """An inference provider over HTTP. Create it anywhere; use it in one event loop."""

    def __init__(self, settings: InferenceSettings) -> None:
        self.settings = settings
        self._client = OpenAIClient(settings)
        self.flavour = self._client.flavour
        self.base_url = self._client.base_url
        self._where = self._client.where
        self._capabilities = capabilities_of(settings)
        self._options_refused = OptionsRefused()

    @property
    def id(self) -> str:
        return self.settings.id

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def models(self) -> list[Model]:
        """Returns the models of `GET /models`. Raises UpstreamFailed, UpstreamTimeout, Unavailable,
        TooManyRequests."""
        try:
            async with asyncio.timeout(MODELS_TIMEOUT_S):
                response = await self._client.get("/models")
                try:
                    body = await read(response, MAX_MODELS_BYTES)
                finally:
                    await response.aclose()
        except TimeoutError:
            raise self._client.timeout("did not list its models", MODELS_TIMEOUT_S) from None
        except Refused as refused:
            raise self._client.error(refused, None) from None
        except Exception as error:
            raise self._client.broken(error) from None
        listed = listed_models(body)
        if listed is None:
            said = self._client.without_key(message_of(body))
            raise UpstreamFailed(
                f"{self._where} did not answer with a list of models{f': {said:.200}' if said else ''}. Check "
                "base_url: it usually ends in /v1."
            )
        return [self._model(entry) for entry in listed]

    async def infer(
        self, request: InferenceRequest, *, headers: Mapping[str, str]
    ) -> AsyncGenerator[InferenceEvent]:
        """Streams one answer; see the port. Opened is sent with the first chunk, so that an earlier failure
        of the server is reported with its own status."""
        loop = asyncio.get_running_loop()
        first_token_by = loop.time() + self.settings.first_token_timeout_s
        response: httpx2.Response | None = None
        async with aclosing(self._opened(request, headers, first_token_by)) as attempts:
            async for attempt in attempts:
                if isinstance(attempt, Retrying):
                    yield attempt
                else:
                    response = attempt
        assert response is not None
        # One iterator until the end: abandoning it before it ends closes the connection.
        pieces = body_of(response).__aiter__()
        answer = AnswerStream(self._where, request.tools, self._client.without_key)
        try:
            opened = False
            async with aclosing(self._chunks(pieces, answer, first_token_by)) as chunks:
                async for events in chunks:
                    if not opened:
                        opened = True
                        yield Opened()
                    for event in events:
                        yield event
            last = answer.end()
            if last and not opened:
                opened = True
                yield Opened()
            for event in last:
                yield event
            finished = answer.finished()
            if not opened:
                yield Opened()
            yield finished
            await drain(pieces)
        finally:
            await response.aclose()
            if isinstance(pieces, AsyncGenerator):
                await pieces.aclose()

    def relay(
        self, request: RelayedRequest, *, headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[RelayedAnswer]:
        """Forwards a request unchanged; see the port. Nothing is retried here: the caller decides."""
        return relayed(self._client, request, headers)

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _chunks(
        self, pieces: AsyncIterator[bytes], answer: AnswerStream, first_by: float
    ) -> AsyncGenerator[list[InferenceEvent]]:
        """Yields the events of each part that arrives, until the answer is complete or its stream ends. Time
        counts only while a part is awaited, and a keep-alive comment does not count as one."""
        now = asyncio.get_running_loop().time
        deadline, begun = first_by, False
        while not answer.done:
            try:
                async with asyncio.timeout_at(deadline):
                    piece = await pieces.__anext__()
            except StopAsyncIteration:
                return
            except TimeoutError:
                if answer.ending:
                    return
                if begun:
                    raise self._client.timeout("stopped sending", self.settings.stall_timeout_s) from None
                raise self._client.timeout(
                    "sent no first token", self.settings.first_token_timeout_s
                ) from None
            except ReplaystackError:
                raise
            except Exception as error:
                if answer.ending:
                    return
                raise self._client.broken(error) from None
            count, events = answer.feed(piece)
            if count:
                begun = True
                yield events
                if answer.failure is not None:
                    raise answer.failure
                left_s = self.settings.stall_timeout_s
                deadline = now() + (min(left_s, ENDING_S) if answer.ending else left_s)

    async def _opened(
        self, request: InferenceRequest, headers: Mapping[str, str], deadline: float
    ) -> AsyncGenerator[httpx2.Response | Retrying]:
        """Sends the request until the server starts an answer, with at most `max_retries` retries. Yields
        each wait, and finally the response."""
        attempt = 0
        known = (self.id, request.model)
        usage = known not in self._options_refused
        asks_without = False
        while True:
            failure: ReplaystackError
            retriable = attempt < self.settings.max_retries
            wait_s = 0.2 * 2**attempt * random.uniform(0.75, 1.25)  # noqa: S311
            body = encode_request(request, self.flavour, usage=usage)
            try:
                async with asyncio.timeout_at(deadline):
                    response = await self._post(body, headers, attempt)
                if asks_without:
                    self._options_refused.remember(known)
                yield response
                return
            except TimeoutError:
                raise self._client.timeout("did not answer", self.settings.first_token_timeout_s) from None
            except Refused as refused:
                if usage and may_refuse_options(refused.status, refused.body):
                    usage, asks_without = False, True
                    continue
                failure = self._client.error(refused, request.model)
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
                failure = self._client.broken(error)
            if not retriable or asyncio.get_running_loop().time() + wait_s > deadline:
                raise failure from None
            yield Retrying(wait_s)
            await asyncio.sleep(wait_s)
            attempt += 1

    async def _post(self, body: bytes, headers: Mapping[str, str], attempt: int) -> httpx2.Response:
        return await self._client.post(
            "/chat/completions",
            body,
            {**_STREAM_HEADERS, **headers, "x-stainless-retry-count": str(attempt)},
        )

    def _model(self, entry: ListedModel) -> Model:
        identifier = f"{self.id}/{entry.id}"
        return Model(
            identifier=identifier,
            provider_id=self.id,
            provider_resource_id=entry.id,
            model_type="embedding" if "embed" in entry.id.lower() else "llm",
            id=identifier,
            created=entry.created,
            owned_by=entry.owned_by or self.id,
        )
