"""Requests that are passed through to the configured providers, and observed on their way: chat completions, text
completions and embeddings.

They are not recorded as events, because they belong to no agent. Their token counts are in the telemetry.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager

from msgspec import Raw, Struct, json
from msgspec.structs import replace
from opentelemetry.util.types import AttributeValue

from stack.errors import NotFound, ReplaystackError, Unavailable
from stack.off_loop import LARGE_JSON_BYTES, off_loop_if
from stack.providers.inference.noted_answer import Noted
from stack.providers.inference.openai_errors import OptionsRefused, may_refuse_options
from stack.providers.inference.port import InferenceProvider, RelayedAnswer, RelayedRequest
from stack.providers.inference.registry import Models, UnknownModel
from stack.providers.inference.relayed_request import ReadRequest, read_request
from stack.providers.inference.relayed_stream import RelayedStream
from telemetry.own import conventions as names
from telemetry.own.model_call import ModelCall, ModelCalls
from telemetry.own.tracing import upstream_headers

_NUMBERS = {
    "temperature": names.GEN_AI_REQUEST_TEMPERATURE,
    "top_p": names.GEN_AI_REQUEST_TOP_P,
    "frequency_penalty": names.GEN_AI_REQUEST_FREQUENCY_PENALTY,
    "presence_penalty": names.GEN_AI_REQUEST_PRESENCE_PENALTY,
}
_COUNTS = {
    "top_k": names.GEN_AI_REQUEST_TOP_K,
    "max_tokens": names.GEN_AI_REQUEST_MAX_TOKENS,
    "max_completion_tokens": names.GEN_AI_REQUEST_MAX_TOKENS,
    "seed": names.GEN_AI_REQUEST_SEED,
    "dimensions": names.GEN_AI_EMBEDDINGS_DIMENSION_COUNT,
    "n": names.GEN_AI_REQUEST_CHOICE_COUNT,
}
_OUTPUT_TYPES = {"json_object": "json", "json_schema": "json", "text": "text"}


class Endpoint(Struct, frozen=True, kw_only=True):
    """An operation of OpenAI's API. `path` is under the provider's `base_url`; `operation` is its name on spans."""

    path: str
    operation: str
    streams: bool = True


CHAT_COMPLETIONS = Endpoint(path="/chat/completions", operation=names.CHAT)
COMPLETIONS = Endpoint(path="/completions", operation=names.TEXT_COMPLETION)
EMBEDDINGS = Endpoint(path="/embeddings", operation=names.EMBEDDINGS, streams=False)


class _Format(Struct):
    type: str = ""


class _Asked(Struct, frozen=True):
    endpoint: Endpoint
    read: ReadRequest


class PassedAnswer(Struct, frozen=True):
    """A response for the caller, unchanged from the provider. `pieces` of a streamed one are whole events."""

    status: int
    headers: Mapping[str, str]
    pieces: AsyncGenerator[bytes]
    streamed: bool


class PassThrough:
    """Runs at most `limit` requests at a time."""

    def __init__(self, models: Models, calls: ModelCalls, limit: int) -> None:
        self._models = models
        self._calls = calls
        self._limit = limit
        self._running = 0
        self._options_refused = OptionsRefused()

    @asynccontextmanager
    async def passed(
        self, endpoint: Endpoint, body: bytes, headers: Mapping[str, str], without_done: bool = False
    ) -> AsyncGenerator[PassedAnswer]:
        """Returns the response to a request with this body; leaving the context cancels a running request.
        `headers` are those of the caller that are forwarded; `without_done` removes the `[DONE]` of a stream.

        Raises Invalid, NotFound for an unknown model, Unavailable, UpstreamFailed, UpstreamTimeout; reading
        the pieces of a streamed response raises the latter two.
        """
        if self._running >= self._limit:
            raise Unavailable(f"{self._running} requests to models are under way; try again.", retry_after=1)
        self._running += 1
        try:
            read = await off_loop_if(len(body) > LARGE_JSON_BYTES, read_request, body)
            asked = _Asked(endpoint, read if endpoint.streams else replace(read, streamed=False))
            try:
                provider, model = await self._models.resolve(read.model)
            except UnknownModel as error:
                raise NotFound(error.detail) from None
            with self._calls.begin(
                provider.id, model, provider.base_url, _attributes(asked.read), endpoint.operation
            ) as call:
                sent = {**headers, **upstream_headers()}
                async with self._sent(provider, asked, model, len(body), sent) as (answer, strips):
                    noted = Noted(self._calls.captures)
                    stream = RelayedStream(
                        noted,
                        without_usage=strips,
                        without_done=without_done,
                        where=f"The model server {provider.id!r}",
                        quote=answer.quote,
                    )
                    observed = await self._observed(answer, stream, noted, asked, call)
                    async with aclosing(observed.pieces):
                        yield observed
        finally:
            self._running -= 1

    @asynccontextmanager
    async def _sent(
        self,
        provider: InferenceProvider,
        asked: _Asked,
        model: str,
        size: int,
        headers: Mapping[str, str],
    ) -> AsyncGenerator[tuple[RelayedAnswer, bool]]:
        """Returns the provider's response, and whether its event with token counts was not requested by the
        caller. A server that does not support requesting it is asked without it, now and later."""
        read, known = asked.read, (provider.id, model)
        asking = read.asking_for_usage()
        unasked = asking is not None
        if known in self._options_refused:
            asking = None
        body = await off_loop_if(size > LARGE_JSON_BYTES, (asking or read).body, model)
        request = RelayedRequest(path=asked.endpoint.path, body=body, model=model, streamed=read.streamed)
        async with provider.relay(request, headers=headers) as answer:
            if asking is None or answer.status < 400:
                yield answer, unasked
                return
            refusal = b"".join([piece async for piece in answer.pieces])
        if not may_refuse_options(answer.status, refusal):
            yield replace(answer, pieces=_one(refusal)), False
            return
        body = await off_loop_if(size > LARGE_JSON_BYTES, read.body, model)
        async with provider.relay(replace(request, body=body), headers=headers) as answer:
            if answer.status < 400:
                self._options_refused.remember(known)
            yield answer, unasked

    async def _observed(
        self, answer: RelayedAnswer, stream: RelayedStream, noted: Noted, asked: _Asked, call: ModelCall
    ) -> PassedAnswer:
        if answer.status >= 400:
            call.failed(str(answer.status))
            return PassedAnswer(answer.status, answer.headers, answer.pieces, False)
        if answer.streamed:
            pieces = self._streamed(answer, stream, noted, asked, call)
            return PassedAnswer(answer.status, answer.headers, pieces, True)
        body = b"".join([piece async for piece in answer.pieces])
        note = noted.note_embeddings if asked.endpoint is EMBEDDINGS else noted.note
        await off_loop_if(len(body) > LARGE_JSON_BYTES, note, body)
        self._describe(call, noted, asked, ended=True)
        return PassedAnswer(answer.status, answer.headers, _one(body), False)

    async def _streamed(
        self, answer: RelayedAnswer, stream: RelayedStream, noted: Noted, asked: _Asked, call: ModelCall
    ) -> AsyncGenerator[bytes]:
        ended = False
        try:
            async for piece in answer.pieces:
                events = stream.feed(piece)
                if noted.chunks:
                    call.first_chunk()
                if events:
                    yield events
            ended = True
            if rest := stream.ended():
                yield rest
        except ReplaystackError as error:
            # Once the model has reported its finish reason, nothing is lost by cutting off the rest.
            ended = bool(noted.finish_reasons)
            if not ended:
                call.failed(type(error).__name__)
                raise
        finally:
            self._describe(call, noted, asked, ended)

    def _describe(self, call: ModelCall, noted: Noted, asked: _Asked, ended: bool) -> None:
        call.answered(
            [noted.finish_reasons[index] for index in sorted(noted.finish_reasons)],
            response_id=noted.response_id,
            response_model=noted.model,
            input_tokens=noted.input_tokens,
            output_tokens=noted.output_tokens,
            ended=ended,
        )
        if noted.error:
            call.failed(noted.error)
        if self._calls.captures:
            call.show(_messages(asked), noted.said())


def _messages(asked: _Asked) -> list[bytes]:
    """Returns what the model was sent as chat messages; nothing for embeddings."""
    if asked.endpoint is COMPLETIONS:
        prompt = asked.read.value("prompt", str)
        return [json.encode({"role": "user", "content": prompt})] if prompt else []
    return [bytes(message) for message in asked.read.value("messages", list[Raw]) or []]


def _attributes(read: ReadRequest) -> dict[str, AttributeValue | None]:
    """Returns the request's properties of the wanted answer that have valid types."""
    said: dict[str, AttributeValue | None] = {
        attribute: read.value(name, float) for name, attribute in _NUMBERS.items() if name in read.fields
    }
    said |= {attribute: read.value(name, int) for name, attribute in _COUNTS.items() if name in read.fields}
    if said.get(names.GEN_AI_REQUEST_CHOICE_COUNT) == 1:
        del said[names.GEN_AI_REQUEST_CHOICE_COUNT]
    if "stop" in read.fields:
        one = read.value("stop", str)
        said[names.GEN_AI_REQUEST_STOP_SEQUENCES] = tuple(
            [one] if one else read.value("stop", list[str]) or ()
        )
    if "response_format" in read.fields:
        wanted = read.value("response_format", _Format)
        said[names.GEN_AI_OUTPUT_TYPE] = _OUTPUT_TYPES.get(wanted.type) if wanted else None
    if read.streamed:
        said[names.GEN_AI_REQUEST_STREAM] = True
    return said


async def _one(body: bytes) -> AsyncGenerator[bytes]:
    yield body
