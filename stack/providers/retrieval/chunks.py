"""Cuts texts into overlapping chunks of a number of tokens.

A token is a word of up to 8 letters or digits, each further 8 of a longer word, a Chinese, Japanese or Korean character,
or a punctuation mark. Tokenizers of language models differ; for English prose they count 10 to 25 % fewer.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate

from stack.providers.retrieval.words import UNSPACED

CHUNK_TOKENS = 256
OVERLAP_TOKENS = 32

_ONE = rf"[{UNSPACED}]|[^\W_{UNSPACED}]{{1,8}}|[^\w\s]|_"
_TOKEN = re.compile(_ONE)
# Every character is a space or part of a token, so that the lengths of the matches add up to their ends: twice as fast
# as asking each match for its end.
_SPACED = re.compile(rf"\s*(?:{_ONE})")
_SPACED_ASCII = re.compile(r"\s*(?:[a-zA-Z0-9]{1,8}|[^\sa-zA-Z0-9])")
_SPACE = re.compile(r"\s*")
# The best places to cut, in this order; a cut is after the match.
_CUTS = tuple(re.compile(pattern) for pattern in (r"\n\s*\n", r"\n", r"[.!?。！？][\"')\]]*\s", r"\s"))  # noqa: RUF001


def chunks_of(
    text: str, chunk_tokens: int = CHUNK_TOKENS, overlap_tokens: int = OVERLAP_TOKENS
) -> Iterator[tuple[int, int]]:
    """Yields the start and end of each chunk, in characters. Chunks have at most `chunk_tokens` and end at the end of a
    paragraph, line, sentence or word, if there is one in their last quarter."""
    spaced = _SPACED_ASCII if text.isascii() else _SPACED
    ends = array("q", accumulate(map(len, spaced.findall(text))))
    first = 0
    while first < len(ends):
        start = _after_space(text, ends[first - 1] if first else 0)
        if first + chunk_tokens >= len(ends):
            yield start, ends[-1]
            return
        low, high = first + max(1, chunk_tokens * 3 // 4) - 1, first + chunk_tokens - 1
        end = _cut(text, ends[low], ends[high])
        yield start, end
        after = bisect_right(ends, end, low, high + 1)
        first = max(first + 1, after - overlap_tokens)


def count_tokens(text: str) -> int:
    return sum(1 for _ in _TOKEN.finditer(text))


def _cut(text: str, low: int, high: int) -> int:
    """Returns the best place to end a chunk that may end at `low` to `high`."""
    for cut in _CUTS:
        last = 0
        for match in cut.finditer(text, low, high):
            last = match.end()
        if last:
            return last
    return high


def _after_space(text: str, start: int) -> int:
    match = _SPACE.match(text, start)
    return match.end() if match else start
