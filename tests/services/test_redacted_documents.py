"""Documents in redacted session files: their passages, and the text of files that were posted."""

from __future__ import annotations

from msgspec.structs import replace

from schemas.events.payload import Document
from schemas.events.turn import FetchedContent, RetrievedChunk, TurnStarted, TurnStepCompleted
from stack.services.replay.imported_session import Inference
from stack.services.replay.redaction_rules import rules_of
from tests.services.recorded_sessions import record_with, turn
from tests.services.test_redaction import EMAIL, made


def test_passages_move_with_their_document() -> None:
    body = f"From {EMAIL} to all. The harbour opens at ten."
    start = body.index("The harbour")
    record = record_with(turn("x", Inference(content="y", model="demo/a")))
    [turn_id] = record.turns
    first, *rest = record.turns[turn_id]
    documents = [
        Document({"uri": "https://a.example/x"}, "text/plain"),
        Document(body, "text/plain", "notes"),
    ]
    fetched = [FetchedContent("https://a.example/x", "text/plain", body)]
    started = replace(first.event, documents=documents, fetched=fetched)
    sources = [
        RetrievedChunk("1", start, len(body), 1.0),
        RetrievedChunk("notes", start, len(body), 1.0),
        RetrievedChunk("1", 0, 4, 1.0, "kb"),
    ]
    retrieval = TurnStepCompleted(
        step_id="r", step_type="memory_retrieval", inserted_context=body[start:], sources=sources
    )
    events = [first._replace(event=started), *rest, rest[-1]._replace(version=len(rest) + 2, event=retrieval)]
    event = made(replace(record, turns={turn_id: events})).record.turns[turn_id][-1].event
    assert isinstance(event, TurnStepCompleted) and event.sources is not None
    new = body.replace(EMAIL, "[email:1]")
    assert [new[one.start : one.end] for one in event.sources[:2]] == [body[start:]] * 2
    assert (event.sources[2].start, event.sources[2].end) == (0, 4)


def test_posted_files_are_left_out_and_their_text_is_redacted() -> None:
    body = f"From {EMAIL} to all. The harbour opens at ten."
    start = body.index("The harbour")
    record = record_with(turn("x", Inference(content="y", model="demo/a")))
    [turn_id] = record.turns
    first, *rest = record.turns[turn_id]
    file = "data:application/pdf;base64,JVBERi0="
    documents = [Document(body, "text/plain"), Document({"uri": file}, "application/pdf", "scan")]
    fetched = [FetchedContent("document:2", "application/pdf", body)]
    started = replace(first.event, documents=documents, fetched=fetched)
    retrieval = TurnStepCompleted(
        step_id="r",
        step_type="memory_retrieval",
        inserted_context=body[start:],
        sources=[RetrievedChunk("2", start, len(body), 1.0), RetrievedChunk("scan", start, len(body), 1.0)],
    )
    events = [first._replace(event=started), *rest, rest[-1]._replace(version=len(rest) + 2, event=retrieval)]
    changed = made(replace(record, turns={turn_id: events}), rules_of(["email"], own=[("word", "document")]))
    begun, *_, last = [one.event for one in changed.record.turns[turn_id]]
    new = body.replace(EMAIL, "[email:1]")
    assert isinstance(begun, TurnStarted) and begun.documents is not None
    assert begun.documents[1] == Document("", "application/pdf", "scan")
    assert begun.fetched == [FetchedContent("document:2", "application/pdf", new)]
    assert isinstance(last, TurnStepCompleted) and last.sources is not None
    assert [new[one.start : one.end] for one in last.sources] == [body[start:]] * 2
