"""A reranker on another server: Cohere, Jina, vLLM, Text Embeddings Inference, llama.cpp."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from schemas.api.model import Model
from stack.errors import ReplaystackError, UpstreamFailed
from stack.off_loop import LARGE_JSON_BYTES, off_loop_if
from stack.providers.inference.lenient_json import NotJSON, decode
from stack.providers.inference.openai_chunk import Tokens, error_in
from stack.providers.inference.openai_client import OpenAIClient, Refused, read
from stack.providers.inference.openai_errors import message_of, words_of
from stack.providers.inference.settings import InferenceSettings
from stack.providers.rerank.port import Scores
from stack.providers.rerank.settings import RerankSettings

MAX_ANSWER_BYTES = 64 * 2**20
"""Servers may repeat the texts in their answers."""

_LARGEST = sys.float_info.max
_encode = msgspec.json.Encoder().encode


class RemoteReranker:
    """Create it anywhere; use it in one event loop. Requests are not repeated. `problem` is the error of the last one, empty
    if it succeeded."""

    def __init__(self, settings: RerankSettings) -> None:
        self.settings = settings
        self.id = settings.id
        self._client = OpenAIClient(
            InferenceSettings(
                id=settings.id,
                base_url=settings.base_url,
                api_key=settings.api_key,
                flavour="generic",
                connect_timeout_s=settings.connect_timeout_s,
                answer_timeout_s=settings.answer_timeout_s,
                headers=settings.headers,
            )
        )
        self.base_url = self._client.base_url
        self.problem = ""

    def model(self) -> Model:
        name = self.settings.model
        identifier = f"{self.id}/{name}" if name else self.id
        return Model(
            identifier=identifier,
            provider_id=self.id,
            provider_resource_id=name or self.id,
            model_type="rerank",
            api_model_type="rerank",
            id=identifier,
            owned_by=self.id,
        )

    async def score(
        self, model: str, query: str, texts: Sequence[str], *, headers: Mapping[str, str]
    ) -> Scores:
        is_large = sum(map(len, texts)) > LARGE_JSON_BYTES
        body = await off_loop_if(is_large, self._request, model, query, texts)
        try:
            answer = await self._answer(body, model, headers)
            scores = await off_loop_if(len(answer) > LARGE_JSON_BYTES, self._scores, answer, len(texts))
        except ReplaystackError as error:
            self.problem = error.detail
            raise
        self.problem = ""
        return scores

    async def aclose(self) -> None:
        await self._client.aclose()

    def _request(self, model: str, query: str, texts: Sequence[str]) -> bytes:
        named: dict[str, Any] = {"model": model} if model else {}
        if self.settings.shape == "tei":
            return _encode({**named, "query": query, "texts": list(texts), "truncate": True})
        return _encode({**named, "query": query, "documents": list(texts)})

    async def _answer(self, body: bytes, model: str, headers: Mapping[str, str]) -> bytes:
        client, allowed_s = self._client, self.settings.answer_timeout_s
        try:
            async with asyncio.timeout(allowed_s):
                response = await client.post("/rerank", body, headers)
                try:
                    answer = await read(response, MAX_ANSWER_BYTES + 1)
                finally:
                    await response.aclose()
        except TimeoutError:
            raise client.timeout("did not complete its answer", allowed_s) from None
        except Refused as refused:
            raise client.error(refused, model or None) from None
        except ReplaystackError:
            raise
        except Exception as error:
            raise client.broken(error) from None
        if len(answer) > MAX_ANSWER_BYTES:
            raise UpstreamFailed(f"{client.where}: its answer is longer than {MAX_ANSWER_BYTES >> 20} MiB.")
        return answer

    def _scores(self, answer: bytes, count: int) -> Scores:
        """Returns the scores of exactly the texts that were sent. Raises UpstreamFailed for any other answer."""
        try:
            value = decode(answer)
        except NotJSON:
            raise self._unusable(f"is not JSON: {message_of(answer)}") from None
        results, tokens = value, Tokens()
        if isinstance(value, dict):
            if (error := error_in(value)) is not None:
                raise self._unusable(f"reports an error: {words_of(error)}")
            tokens.note(value)
            results = value.get("results", value.get("data"))
        if not isinstance(results, list):
            raise self._unusable("has no list of results. Check base_url and shape")
        scores: list[float | None] = [None] * count
        for result in results:
            index, score = _pair(result)
            if index is None or not 0 <= index < count:
                raise self._unusable(f"has a result with the index {index}; {count} texts were sent")
            if scores[index] is not None:
                raise self._unusable(f"has two results with the index {index}")
            if score is None:
                raise self._unusable(f"has no finite score for the index {index}")
            scores[index] = score
        found = [score for score in scores if score is not None]
        if len(found) < count:
            raise self._unusable(f"has {len(found)} results for {count} texts")
        return Scores(found, tokens.input)

    def _unusable(self, problem: str) -> UpstreamFailed:
        return UpstreamFailed(self._client.without_key(f"{self._client.where}: its answer {problem}."))


def _pair(result: Any) -> tuple[int | None, float | None]:
    """Returns the index and the score of a result; None for what is not an integer, or not a finite number."""
    if not isinstance(result, dict):
        return None, None
    index = result.get("index")
    score = result.get("relevance_score", result.get("score"))
    if not isinstance(score, int | float) or isinstance(score, bool) or not -_LARGEST <= score <= _LARGEST:
        score = None
    return (
        index if isinstance(index, int) and not isinstance(index, bool) else None,
        None if score is None else float(score),
    )
