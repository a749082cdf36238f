"""Documents that a newer release has stored: the model reads them without what this release does not know."""

from __future__ import annotations

from schemas.events.payload import Document
from stack.services.turns.conversation import questions_of
from tests.services.turn_states import Turn, chat, document, said


def asked(documents: list[Document]) -> str:
    [message] = chat(questions_of(Turn(said("When?"), documents).state))
    return str(message["content"])


def test_documents_of_newer_releases_are_read_without_what_is_unknown() -> None:
    url = "data:text/plain,At%20ten."
    known = [document({"uri": url}), document([{"type": "text", "text": "At six."}])]
    newer = [
        document({"uri": url, "etag": "7"}),
        document([{"type": "text", "text": "At six.", "style": {}}, {"type": "audio", "audio": {}}]),
    ]
    assert asked(newer) == asked(known)
    assert "At ten." in asked(newer)
    assert "At six." in asked(newer)
