"""Which documents of a turn are too long for its context, and how their passages are shown."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from schemas.events.payload import Document
from stack.providers.retrieval.port import Passage
from stack.services.turns.conversation import questions_of
from stack.services.turns.document import context_items, long_documents, passages_text, text_in_documents
from tests.services.turn_states import Turn, chat


@pytest.mark.parametrize(
    ("lengths", "limit", "long"),
    [
        ([], 10, ()),
        ([5, 5], 10, ()),
        ([5, 6], 10, (2,)),
        ([6, 5], 10, (1,)),
        ([6, 6], 10, (2,)),
        ([11], 10, (1,)),
        ([0], 0, ()),
        ([3, 9, 3, 9], 10, (2, 4)),
        ([1, 1], 0, (1, 2)),
    ],
)
def test_the_shortest_documents_stay_whole(lengths: list[int], limit: int, long: tuple[int, ...]) -> None:
    assert long_documents(lengths, limit) == long


IMAGE = {"type": "image", "image": {"data": "AAAA"}}
DOCUMENTS = [
    Document("one", "text/plain"),
    Document([{"type": "text", "text": "a"}, IMAGE, {"type": "text", "text": "b"}], "text/html"),
]


def test_texts_and_images_of_retrieved_documents() -> None:
    assert text_in_documents(DOCUMENTS, {}) == ["one", "a\n\nb"]
    opening, image, closing = context_items(DOCUMENTS, {}, (1, 2))
    assert opening == '<document index="2" type="text/html">' and closing == "</document>"
    assert not isinstance(image, str) and image.type == "image"
    assert [*context_items(DOCUMENTS[:1], {}, (1,))] == []


def test_passages_are_shown_like_documents() -> None:
    def passage(document: str, start: int, text: str) -> Passage:
        return Passage(document_id=document, start=start, end=start + len(text), score=1.0, text=text)

    found = [passage("1", 0, "first "), passage("1", 90, " second"), passage("2", 0, "third")]
    assert passages_text(found, DOCUMENTS) == (
        '<document index="1" type="text/plain">\nfirst\n[...]\nsecond\n</document>\n'
        '<document index="2" type="text/html">\nthird\n</document>'
    )
    assert passages_text([], DOCUMENTS) == ""


def test_long_documents_of_a_damaged_turn_do_not_fill_the_context() -> None:
    documents = [Document("short", "text/plain"), Document("long " * 100_000, "text/plain")]
    state = Turn("When?", documents).state
    assert "long long" in str(chat(questions_of(state)))
    sent = str(chat(questions_of(replace(state, is_damaged=True))))
    assert "short" in sent and "long long" not in sent
