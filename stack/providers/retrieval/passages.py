"""Chooses passages by their scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from msgspec import Struct
from msgspec.structs import replace

from stack.providers.retrieval.bm25 import scores_of
from stack.providers.retrieval.chunks import chunks_of, count_tokens
from stack.providers.retrieval.port import Passage, Text


class Chunk(Struct, frozen=True):
    """A part of the document with this number, from `start` to `end` in characters."""

    document: int
    start: int
    end: int


def best_of(query: str, documents: Sequence[Text], max_tokens: int) -> list[Passage]:
    """See `Ranking`. Takes 0.5 s for 4 MB."""
    chunks = [
        Chunk(number, start, end)
        for number, document in enumerate(documents)
        for start, end in chunks_of(document.text)
    ]
    if not chunks:
        return []
    scores = scores_of(query, [documents[one.document].text[one.start : one.end] for one in chunks])
    ranked = sorted(range(len(chunks)), key=lambda at: -scores[at])
    if not scores[ranked[0]]:
        ranked = _beginnings(chunks)
    found = [
        Passage(
            document_id=documents[(chunk := chunks[at]).document].id,
            start=chunk.start,
            end=chunk.end,
            score=round(scores[at], 6),
            text=documents[chunk.document].text[chunk.start : chunk.end],
        )
        for at in ranked[: max_tokens or 1]
        if scores[at] or not scores[ranked[0]]
    ]
    order = {document.id: number for number, document in enumerate(documents)}
    return sorted(within(found, max_tokens), key=lambda one: (order[one.document_id], one.start))


def within(passages: Iterable[Passage], max_tokens: int) -> list[Passage]:
    """Returns the first passages that have at most `max_tokens` together; the first one always. Overlapping ones are
    joined, with the higher score."""
    taken: list[Passage] = []
    left = max_tokens
    for passage in passages:
        left -= count_tokens(passage.text)
        if left < 0 and taken:
            break
        taken.append(passage)
    return joined(taken)


def joined(passages: Sequence[Passage]) -> list[Passage]:
    """Joins the passages that overlap, each at the place of the best of them."""
    place = {id(passage): number for number, passage in enumerate(passages)}
    found: list[tuple[int, Passage]] = []
    by_document = sorted(passages, key=lambda one: (one.collection, one.document_id, one.start))
    for _, group in groupby(by_document, key=lambda one: (one.collection, one.document_id)):
        first = True
        for passage in group:
            if not first and passage.start <= found[-1][1].end:
                at, before = found.pop()
                text = before.text + passage.text[max(0, before.end - passage.start) :]
                best = max(before.score, passage.score)
                whole = replace(before, end=max(before.end, passage.end), text=text, score=best)
                found.append((min(at, place[id(passage)]), whole))
            else:
                found.append((place[id(passage)], passage))
            first = False
    return [passage for _, passage in sorted(found, key=lambda pair: pair[0])]


def _beginnings(chunks: Sequence[Chunk]) -> list[int]:
    """Returns the first chunk of each document, then the second of each, and so on."""
    number = 0
    ranked: list[tuple[int, int]] = []
    for at, chunk in enumerate(chunks):
        number = number + 1 if at and chunks[at - 1].document == chunk.document else 0
        ranked.append((number, at))
    return [at for _, at in sorted(ranked)]
