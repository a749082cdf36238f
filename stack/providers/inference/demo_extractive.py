"""`demo/extractive`: an embedded model without weights that quotes from its input.

It quotes the sentences that match the question best, by lexical retrieval, and names their documents; it
calls tools according to their words; it fills JSON schemas; it reports if it finds nothing. It generates
nothing and understands nothing: it allows trying everything else without a model. The same request always has
the same answer.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
from msgspec import Raw

from schemas.api.model import Model
from schemas.events.payload import TurnUsage
from stack.errors import Invalid
from stack.providers.inference.demo_completion import completed
from stack.providers.inference.demo_conversation import Conversation, read_conversation
from stack.providers.inference.demo_retrieval import Passage, retrieve, terms
from stack.providers.inference.demo_schema import Filler
from stack.providers.inference.demo_tools import Call, choose_call
from stack.providers.inference.port import (
    Capabilities,
    Finished,
    FinishReason,
    InferenceEvent,
    InferenceRequest,
    Opened,
    RelayedAnswer,
    RelayedRequest,
    TextChunk,
    ToolCallChunk,
)

DESCRIPTION = (
    "A built-in demo, not a language model: it quotes the given documents, instructions and conversation by "
    "lexical retrieval, and understands nothing."
)
RESPONSE_MODEL = "demo/extractive (a demo without weights, not a language model)"
MAX_RESULT_CHARACTERS = 2000
_PIECE = re.compile(r"\s*\S{1,24}|\s+\Z")
_PIECES_AT_ONCE = 32


class DemoExtractive:
    """The provider `demo` with its one model, `extractive`."""

    NAMES = ("extractive",)
    id = "demo"
    base_url = ""
    capabilities = Capabilities(images=False)

    async def models(self) -> list[Model]:
        return [
            Model(
                identifier="demo/extractive",
                provider_id="demo",
                provider_resource_id="extractive",
                id="demo/extractive",
                owned_by="demo",
                metadata={"kind": "demo", "description": DESCRIPTION},
            )
        ]

    async def infer(
        self, request: InferenceRequest, *, headers: Mapping[str, str]
    ) -> AsyncGenerator[InferenceEvent]:
        """Streams an answer word by word; words count as tokens. Raises Invalid for an invalid chat
        request."""
        # In a thread: indexing 200,000 characters takes about 0.2 s.
        words, planned, digest = await asyncio.to_thread(_plan, request)
        yield Opened()
        call = planned if isinstance(planned, Call) else None
        pieces = _PIECE.findall(call.arguments if call else _stopped(str(planned), request.stop))
        sent = pieces[: request.max_tokens or None]
        if call:
            yield ToolCallChunk(0, f"call_{digest}", call.name)
        for number, piece in enumerate(sent, 1):
            if number % _PIECES_AT_ONCE == 0:
                await asyncio.sleep(0)
            yield ToolCallChunk(0, arguments=piece) if call else TextChunk(piece)
        reason: FinishReason = "length" if len(sent) < len(pieces) else "tool_calls" if call else "stop"
        yield Finished(reason, TurnUsage(words, len(sent)), f"demo-{digest}", RESPONSE_MODEL)

    def relay(
        self, request: RelayedRequest, *, headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[RelayedAnswer]:
        """Returns an answer in OpenAI's format. Raises Invalid for an invalid chat completion."""
        return completed(lambda asked: self.infer(asked, headers=headers), request, RESPONSE_MODEL)

    async def aclose(self) -> None:
        """Has no effect: there are no resources to release."""


def _plan(request: InferenceRequest) -> tuple[int, str | Call, str]:
    """Returns the number of words read, the text or call to send, and a digest of the request."""
    conversation = read_conversation(request)
    schema = None if request.response_format is None else _schema(request.response_format)
    planned: str | Call | None = None
    if not conversation.results:
        planned = choose_call(request.tools, request.tool_choice, conversation.question)
    if planned is None:
        planned = _answer(conversation) if schema is None else _json(schema, conversation)
    words = conversation.words + sum(len(bytes(tool).split()) for tool in request.tools)
    return words, planned, hashlib.sha256(msgspec.json.encode(request)).hexdigest()[:24]


def _schema(response_format: Raw) -> Any:
    """Returns the requested JSON schema, `{}` for any JSON object, None for text."""
    said = msgspec.json.decode(response_format)
    kind = said.get("type") if isinstance(said, dict) else None
    if kind == "json_schema":
        given = said.get("json_schema")
        return given.get("schema", given) if isinstance(given, dict) else {}
    if kind == "json_object":
        return {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
    if kind in ("text", None):
        return None
    raise Invalid(f"response_format: demo/extractive has no {kind!r}; it knows json_schema.")


def _json(schema: Any, conversation: Conversation) -> str:
    passages = retrieve(conversation.question, conversation.sources)
    found = " ".join(passage.text for passage in passages) or " ".join(t for _, t in conversation.results)
    if not found:
        # A request to extract without naming a source: the values are taken from the documents themselves.
        found = "\n".join(source.text for source in conversation.sources if source.kind == "document")
    text = f"{found}\n{conversation.question}".strip()
    value = Filler(schema, text[:20_000], found[:400] or conversation.question[:400]).fill()
    return json.dumps(value, ensure_ascii=False)


def _answer(conversation: Conversation) -> str:
    if conversation.results:
        return "\n".join(
            f"{name} answered: {_bounded(text, MAX_RESULT_CHARACTERS) or 'nothing.'}"
            for name, text in conversation.results
        )
    question = " ".join(conversation.question.split())
    passages = retrieve(question, conversation.sources)
    if passages:
        return _quoted(passages)
    count = sum(source.kind == "document" for source in conversation.sources)
    documents = {0: "no documents", 1: "1 document"}.get(count, f"{count} documents")
    given = f"({documents}, my instructions and this conversation)"
    if not terms(question):
        return f"I answer questions from what I am given {given}. Ask me about that."
    return f"I found nothing about “{_bounded(question, 200)}” in what I was given {given}."


def _quoted(passages: list[Passage]) -> str:
    """Returns the passages as an answer, each with its source."""
    kind = passages[0].source.kind
    if kind != "document":
        start = "You said: " if kind == "user" else "My instructions say: "
        return start + " ".join(f"“{passage.text}”" for passage in passages)
    quoted = " ".join(f"{passage.text} [{passage.source.number}]" for passage in passages)
    names = {passage.source.number: passage.source.name for passage in passages}
    listed = ", ".join(f"[{number}] {name}" for number, name in sorted(names.items()))
    return f"{quoted}\n\nSources: {listed}"


def _bounded(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _stopped(text: str, stop: list[str]) -> str:
    """Returns `text` up to the first stop sequence."""
    ends = [text.find(sequence) for sequence in stop if sequence and sequence in text]
    return text[: min(ends)] if ends else text
