"""The words of a text as they are compared: normalised, split and stemmed."""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

PART_CHARACTERS = 16_384
"""Texts are handled in parts of this length, each a few milliseconds of work that does not yield the GIL."""
WORDS_AT_ONCE = 4_096
"""The same for the words that are stemmed."""

# Chinese, Japanese and Korean are written without spaces: each character counts as a word.
UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{UNSPACED}]|[^\W_{UNSPACED}]+")
_ASCII_SEPARATORS = {code: " " for code in range(128) if not chr(code).isalnum()}
_STOP_WORDS_TEXT = """
    a about after again all also am an and any are as at be because been before being below between both but by can
    could d did do does doing down during each few for from further had has have having he her here hers him his how i
    if in into is it its just ll m me more most my no nor not now of off on once only or other our ours out over own
    re s same she should so some such t than that the their theirs them then there these they this those through to
    too under until up us ve very was we were what when where which while who whom whose why will with would you your
    yours
"""
STOP_WORDS = frozenset(_STOP_WORDS_TEXT.split())
"""Words that say nothing about the subject of a question. They are left out of queries only."""

_local = threading.local()


def split_words(text: str) -> Iterator[list[str]]:
    """Yields the words of a text in lower case and without compatibility forms, in parts."""
    for part in _parts(text):
        if part.isascii():
            # Half the time of a regular expression.
            yield part.lower().translate(_ASCII_SEPARATORS).split()
        else:
            yield _WORD.findall(unicodedata.normalize("NFKC", part).lower())


def stems(words: list[str]) -> list[str]:
    """Returns the English stems of words, in their order; words of other languages change little."""
    # A stemmer must not be shared between threads.
    stemmer: Any = getattr(_local, "stemmer", None)
    if stemmer is None:
        import Stemmer  # type: ignore[import-not-found]

        stemmer = _local.stemmer = Stemmer.Stemmer("english")
    found: list[str] = []
    for start in range(0, len(words), WORDS_AT_ONCE):
        found += stemmer.stemWords(words[start : start + WORDS_AT_ONCE])
    return found


def terms_of(text: str) -> list[str]:
    """Returns the stemmed words of a text."""
    return [stem for words in split_words(text) for stem in stems(words)]


def query_terms(query: str) -> list[str]:
    """Returns the distinct stemmed words of a query without stop words, unless it has no others."""
    words = list(dict.fromkeys(_flat(split_words(query))))
    telling = [word for word in words if word not in STOP_WORDS]
    return list(dict.fromkeys(stems(telling or words)))


def _flat(parts: Iterable[list[str]]) -> Iterator[str]:
    for part in parts:
        yield from part


def _parts(text: str) -> Iterator[str]:
    """Cuts a long text at spaces, if it has any."""
    start = 0
    while len(text) - start > PART_CHARACTERS:
        end = text.rfind(" ", start + 1, start + PART_CHARACTERS)
        end = end if end > 0 else start + PART_CHARACTERS
        yield text[start:end]
        start = end
    yield text[start:]
