"""Embeddings of texts, from the configured model servers."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from stack.errors import UpstreamFailed
from stack.off_loop import LARGE_JSON_BYTES, off_loop_if
from stack.providers.inference.noted_answer import Noted
from stack.providers.inference.openai_errors import error_of
from stack.providers.inference.port import RelayedRequest
from stack.providers.inference.registry import Models
from stack.services.inference.pass_through import EMBEDDINGS
from telemetry.own.model_call import ModelCalls
from telemetry.own.tracing import upstream_headers

MAX_DIMENSION = 16_384


class _Embedding(Struct):
    index: int
    embedding: list[float]


class _Answer(Struct):
    data: list[_Embedding]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Answer).decode


class Embeddings:
    """Implements `Embedder` of retrieval. Each request is traced."""

    def __init__(self, models: Models, calls: ModelCalls) -> None:
        self._models = models
        self._calls = calls

    async def embed(self, model: str, texts: Sequence[str]) -> bytes:
        """Returns the vectors of the texts, in their order, as float32. Raises Invalid for an unknown model, and the errors
        of the provider; UpstreamFailed for an answer that does not have exactly one vector for each text."""
        provider, name = await self._models.resolve(model)
        body = _encode({"model": name, "input": list(texts), "encoding_format": "float"})
        request = RelayedRequest(path=EMBEDDINGS.path, body=body, model=name)
        where = f"The model server {provider.id!r}"
        with self._calls.begin(provider.id, name, provider.base_url, {}, EMBEDDINGS.operation) as call:
            async with provider.relay(request, headers=upstream_headers()) as answer:
                said = b"".join([piece async for piece in answer.pieces])
                if answer.status >= 400:
                    call.failed(str(answer.status))
                    raise error_of(
                        answer.status, answer.headers, said, where=where, provider=provider.id, model=name
                    )
            noted = Noted()
            noted.note_embeddings(said)
            call.answered((), response_model=noted.model, input_tokens=noted.input_tokens)
            return await off_loop_if(len(said) > LARGE_JSON_BYTES, _vectors, said, len(texts), where)


def _vectors(answer: bytes, count: int, where: str) -> bytes:
    try:
        found = {one.index: one.embedding for one in _decode(answer).data}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamFailed(f"{where} did not answer with embeddings: {str(error)[:200]}.") from None
    vectors = [found[index] for index in range(count) if index in found]
    dimension = len(vectors[0]) if vectors else 0
    if len(vectors) != count or len(found) != count:
        raise UpstreamFailed(f"{where} answered with {len(found)} embeddings for {count} texts.")
    if not 0 < dimension <= MAX_DIMENSION or any(len(vector) != dimension for vector in vectors):
        raise UpstreamFailed(f"{where} answered with embeddings of different or unusable lengths.")
    packed = array("f", (number for vector in vectors for number in vector))
    if not all(map(math.isfinite, packed)):
        raise UpstreamFailed(f"{where} answered with numbers that are not finite.")
    return packed.tobytes()
