"""Cutting texts into chunks, and choosing passages."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stack.providers.retrieval.chunks import chunks_of, count_tokens
from stack.providers.retrieval.passages import best_of, joined, within
from stack.providers.retrieval.port import Passage, Text


def cut(text: str, chunk: int, overlap: int) -> list[str]:
    return [text[start:end] for start, end in chunks_of(text, chunk, overlap)]


def test_a_short_text_is_one_chunk() -> None:
    assert cut("  The harbour opens at ten. ", 50, 5) == ["The harbour opens at ten."]
    assert cut("", 50, 5) == cut(" \n\t", 50, 5) == []


def test_chunks_end_at_paragraphs_then_lines_then_sentences_then_words() -> None:
    assert cut("a b c\n\nd e f g", 4, 0) == ["a b c\n\n", "d e f g"]
    assert cut("a b c\nd e f g", 4, 0)[0] == "a b c\n"
    assert cut("a b. c d e f", 4, 0)[0] == "a b. "
    assert cut("aaaaaaaaaaaa", 1, 0) == ["aaaaaaaa", "aaaa"]


def test_chunks_overlap() -> None:
    words = [f"w{number}" for number in range(100)]
    chunks = [chunk.split() for chunk in cut(" ".join(words), 20, 5)]
    for before, after in pairwise(chunks):
        assert before[-5:] == after[:5]
    assert chunks[0][0] == "w0" and chunks[-1][-1] == "w99"


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("harbour opens", 2),
        ("harbourmaster", 2),
        ("don't", 3),
        ("東京 都", 3),
        ("a_b", 3),
        ("", 0),
        ("...", 3),
    ],
)
def test_the_measure(text: str, tokens: int) -> None:
    assert count_tokens(text) == tokens


@given(st.text(alphabet="ab .\n\t東'_é", max_size=300), st.integers(1, 30), st.integers(0, 15))
def test_every_token_is_in_a_chunk_and_no_chunk_is_too_long(text: str, chunk: int, overlap: int) -> None:
    overlap = min(overlap, chunk // 2)
    spans = list(chunks_of(text, chunk, overlap))
    covered = {at for start, end in spans for at in range(start, end)}
    assert all(at in covered for at, letter in enumerate(text) if not letter.isspace())
    assert all(count_tokens(text[start:end]) <= chunk for start, end in spans)
    assert all(one[0] < after[0] and one[1] < after[1] for one, after in pairwise(spans))


LONG = "\n\n".join(f"Paragraph {number} says nothing of interest here." for number in range(500))


def test_the_passages_with_the_words_of_the_query_come_in_the_order_of_the_documents() -> None:
    documents = [
        Text("1", LONG + "\n\nThe ferry leaves at noon."),
        Text("2", "The harbour opens at ten.\n\n" + LONG),
    ]
    found = best_of("when does the ferry leave the harbour", documents, 600)
    assert [one.document_id for one in found] == ["1", "2"]
    assert "ferry leaves at noon" in found[0].text and "harbour opens" in found[1].text
    for one in found:
        [document] = [document for document in documents if document.id == one.document_id]
        assert document.text[one.start : one.end] == one.text and one.score > 0


def test_without_a_match_the_beginnings_are_taken() -> None:
    found = best_of("zebra", [Text("1", LONG), Text("2", "Short."), Text("3", LONG)], 600)
    assert [(one.document_id, one.start) for one in found] == [("1", 0), ("2", 0), ("3", 0)]
    assert all(one.score == 0 for one in found)
    assert best_of("zebra", [Text("1", ""), Text("2", " ")], 100) == []


def passage(document: str, start: int, end: int, score: float) -> Passage:
    text = "".join(chr(97 + at % 26) for at in range(start, end))
    return Passage(document_id=document, start=start, end=end, score=score, text=text)


def test_overlapping_passages_are_joined_at_the_place_of_the_best() -> None:
    found = joined(
        [passage("a", 20, 40, 3), passage("b", 0, 9, 2), passage("a", 0, 25, 1), passage("a", 10, 15, 0)]
    )
    assert found == [passage("a", 0, 40, 3), passage("b", 0, 9, 2)]


def test_the_first_passage_is_always_taken() -> None:
    assert len(within([passage("a", 0, 900, 3), passage("b", 0, 9, 2)], 10)) == 1
    assert len(within([passage("a", 0, 8, 3), passage("b", 0, 8, 2), passage("c", 0, 8, 1)], 2)) == 2
    assert within([], 10) == []
