"""The step of a turn that looks for passages in its long documents."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from schemas.events.base import Event
from schemas.events.payload import Content
from schemas.events.turn import RetrievedChunk, TurnStepCompleted, TurnStepStarted
from stack.domain.turn import TurnState
from stack.domain.turn_action import Retrieve
from stack.domain.turn_step import retrieval_in
from stack.off_loop import off_loop_if
from stack.providers.retrieval.port import Passage, Text
from stack.services.effects import Effects
from stack.services.turns.document import (
    DOCUMENT,
    long_documents,
    passages_text,
    posted_characters,
    text_in_documents,
)
from stack.services.turns.running_turn import RunningTurn

SMALL_CHARACTERS = 2**20
"""Up to this length, the texts of documents are put together directly."""


Guard = Callable[[str, Sequence[int]], Awaitable[tuple[str, list[Event]]]]
"""Judges the passages of the documents with these numbers, and the other documents. Returns the passages, empty if
refused, and the events of the judgement, none without shields. Raises ReplaystackError."""


class RetrievalStep:
    """Everything that influences the turn passes through `effects`, and is recorded."""

    def __init__(
        self,
        turn: RunningTurn,
        effects: Effects,
        record: Callable[[Sequence[Event]], Awaitable[None]],
        guard: Guard,
        labels: Mapping[str, str],
    ) -> None:
        self._turn = turn
        self._effects = effects
        self._record = record
        self._guard = guard
        self._labels = labels

    async def run(self, action: Retrieve) -> None:
        """Raises the errors of the search."""
        state = self._turn.state
        step_id, kind = self._effects.new_id(), "memory_retrieval"
        await self._record([TurnStepStarted(step_id=step_id, step_type=kind, attempt=state.attempt)])
        texts = await _texts(state)
        wanted = [Text(str(number), texts[number - 1]) for number in action.documents]
        labels = {**self._labels, "step_id": step_id}
        passages = await self._effects.retrieve(_query(state), wanted, labels)
        passing, judgement = await self._guard(passages_text(passages, state.documents), action.documents)
        done = TurnStepCompleted(
            step_id=step_id,
            step_type=kind,
            inserted_context=passing,
            vector_db_ids=[f"{DOCUMENT}{number}" for number in action.documents],
            sources=list(map(_source, passages)),
        )
        await self._record([done, *judgement])


async def long_documents_of(state: TurnState, max_characters: int) -> tuple[int, ...]:
    """Returns the numbers of the documents that are to be retrieved; none if that was done, or was not done before the
    first inference."""
    if not state.documents or retrieval_in(state.steps) is not None or state.inferences:
        return ()
    return long_documents([*map(len, await _texts(state))], max_characters)


async def _texts(state: TurnState) -> list[str]:
    fetched = {one.uri: one for one in state.fetched}
    size = sum(map(posted_characters, state.documents))
    return await off_loop_if(size > SMALL_CHARACTERS, text_in_documents, state.documents, fetched)


def _query(state: TurnState) -> str:
    """Returns what the user says."""
    contents: list[Content] = []
    for message in state.input_messages:
        if message.role == "user":
            contents += [message.content, message.context or ""]
    return "\n".join(text for content in contents for text in _texts_in(content))


def _texts_in(content: Content) -> list[str]:
    if isinstance(content, str):
        return [content]
    return [item.text or "" for item in (content if isinstance(content, list) else [content])]


def _source(passage: Passage) -> RetrievedChunk:
    return RetrievedChunk(
        document_id=passage.document_id,
        start=passage.start,
        end=passage.end,
        score=passage.score,
        collection=passage.collection,
    )
