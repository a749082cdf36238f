"""Lexical retrieval for the demo model: sentences of the sources, ranked by BM25 over stemmed words."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence

from cachetools import LRUCache
from msgspec import Struct

from stack.providers.inference.demo_conversation import Source
from stack.providers.retrieval.words import stems

MAX_PASSAGE_CHARACTERS = 400
MAX_PASSAGES = 3
MIN_COVERAGE = 0.34
"""The minimum share of the question's words in a passage: with less, "capital" alone would match a text on
capital expenditure for the question about "the capital of France"."""
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)?")
_SENTENCE_END = re.compile(r"(?<=[.!?。])[\"')\]]*\s+(?=[\"'(\[]*[A-Z0-9ÄÖÜ])")
_STOP_WORDS_TEXT = """
    a about above after again all also am an and any are as at be because been before being below between both
    but by can could did do does doing down during each few for from further had has have having he her here hers
    him his how i if in into is it its just let me more most my no nor not now of off on once only or other our
    ours out over own please same she should so some such tell than that the their theirs them then there these
    they this those through to too under until up us very was we were what when where which while who whom whose
    why will with would you your yours give get make use know show say says said much many hi hello hey thanks thank
"""
_STOP_WORDS = frozenset(_STOP_WORDS_TEXT.split())


class Passage(Struct, frozen=True):
    """A sentence of a source, with the heading above it; `order` is its place among all passages."""

    text: str
    heading: str
    source: Source
    order: int


def terms(text: str) -> list[str]:
    """Returns the stemmed words of `text` without stop words. Words of code (get_weather) are split."""
    words = [word.lower() for word in _WORD.findall(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text))]
    return stems([word for word in words if word not in _STOP_WORDS])


def split_passages(sources: Sequence[Source]) -> list[Passage]:
    """Returns the sentences of all sources. Questions of the user are left out, because they answer
    nothing."""
    passages: list[Passage] = []
    for source in sources:
        heading = ""
        for block in re.split(r"\n\s*\n|\n(?=\s*(?:[-*•|#]|\d+[.)]\s))", source.text):
            if block.lstrip().startswith("#"):
                line, _, block = block.lstrip().partition("\n")
                heading = line.strip("# ")
            text = " ".join(block.split())
            for sentence in _SENTENCE_END.split(text):
                for part in _cut(sentence.strip(" -*•|")):
                    if not (source.kind == "user" and part.endswith("?")):
                        passages.append(Passage(part, heading, source, len(passages)))
    return passages


def _cut(sentence: str) -> list[str]:
    parts = []
    while len(sentence) > MAX_PASSAGE_CHARACTERS:
        at = sentence.rfind(" ", 1, MAX_PASSAGE_CHARACTERS)
        at = at if at > 0 else MAX_PASSAGE_CHARACTERS
        parts.append(sentence[:at])
        sentence = sentence[at:].strip()
    return [*parts, sentence] if sentence else parts


class _Index:
    """The passages of some sources with their BM25 index. Indexing 100 passages takes about 10 ms."""

    def __init__(self, sources: Sequence[Source]) -> None:
        import bm25s  # type: ignore[import-untyped]

        self.passages = split_passages(sources)
        self.terms = [terms(f"{passage.heading} {passage.text}") for passage in self.passages]
        self._bm25 = bm25s.BM25()
        if any(self.terms):
            self._bm25.index(self.terms, show_progress=False)

    def ranked(self, query: list[str]) -> list[tuple[float, Passage]]:
        """Returns the passages with enough words of the query, best first; equal ones in their original
        order."""
        known = [term for term in query if any(self.terms) and term in self._bm25.vocab_dict]
        if not known:
            return []
        wanted = set(query)
        found = [
            (round(float(score), 6), passage)
            for passage, own, score in zip(
                self.passages, self.terms, self._bm25.get_scores(known), strict=True
            )
            if score > 0 and len(wanted.intersection(own)) >= MIN_COVERAGE * len(wanted)
        ]
        return sorted(found, key=lambda pair: (-pair[0], pair[1].order))


_lock = threading.Lock()
_indexes: LRUCache[tuple[Source, ...], _Index] = LRUCache(8)


def retrieve(question: str, sources: Sequence[Source]) -> list[Passage]:
    """Returns the passages that answer `question`, in reading order: documents, then statements of the user,
    then instructions. Empty if none match. Takes long for large sources: call it in a thread."""
    query = terms(question)
    if not query or not sources:
        return []
    key = tuple(sources)
    with _lock:
        index = _indexes.get(key)
    if index is None:
        index = _Index(sources)
        with _lock:
            _indexes[key] = index
    ranked = index.ranked(query)
    for kind in ("document", "user", "instructions"):
        own = [(score, passage) for score, passage in ranked if passage.source.kind == kind]
        if own:
            best = [passage for score, passage in own if score >= 0.6 * own[0][0]][:MAX_PASSAGES]
            return sorted(best, key=lambda passage: passage.order)
    return []
