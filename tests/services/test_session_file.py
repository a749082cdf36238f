"""Session files are read as they were written, and everything else is refused with the reason."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from schemas.events.payload import CompletionMessage, Document
from schemas.events.turn import TurnCompleted
from schemas.session_file import Passes, Redaction, Tolerance
from stack.errors import Invalid
from stack.services.replay import session_file
from stack.services.replay.session_file import read_session_file, written
from stack.services.replay.session_record import SessionRecord
from tests.services.recorded_sessions import session_records
from tests.services.session_files import LONG, content_of, file_of, forged, plain_record, small_record

Lines = list[dict[str, Any]]
RECORD = small_record()
FILE = content_of(RECORD)


def refused(content: bytes) -> str:
    with pytest.raises(Invalid) as refusal:
        read_session_file(content)
    return refusal.value.detail


@given(session_records())
@settings(max_examples=25, deadline=None)
def test_what_was_written_is_read(record: SessionRecord) -> None:
    content = content_of(record)
    file = read_session_file(content)
    assert file.record == plain_record(record)
    assert b"".join(written(file)) == content
    assert file.digest == hashlib.sha256(content).hexdigest()


def test_long_texts_are_kept_once() -> None:
    blobs = [line for line in FILE.splitlines() if line.startswith(b'{"line":"blob"')]
    assert [json.loads(line)["content"] for line in blobs] == [LONG]
    assert read_session_file(FILE).record == RECORD


def test_a_file_is_written_again_with_changed_events_and_tolerance() -> None:
    file = read_session_file(FILE)
    [first, second] = file.record.turns
    turn = file.record.turns[first]
    answer = CompletionMessage(content="At eleven.", stop_reason="end_of_turn")
    end = turn[-1]._replace(event=TurnCompleted(output_message=answer))
    record = msgspec.structs.replace(file.record, turns={**file.record.turns, first: [*turn[:-1], end]})
    tolerance = Tolerance(ignore=["$.time"], epsilon=0.5, text="normalised", passes=Passes(4, 5))
    header = msgspec.structs.replace(file.header, tolerance=tolerance)
    again = read_session_file(b"".join(written(msgspec.structs.replace(file, header=header, record=record))))
    assert again.record == record and again.header.tolerance == tolerance
    assert again.record.turns[second] == file.record.turns[second]
    assert b'"pass":{"needed":4,"of":5}' in b"".join(written(again))


def test_unknown_fields_of_the_header_are_kept() -> None:
    def extend(lines: Lines) -> None:
        lines[0] |= {"owner": {"team": "a"}, "tolerance": {"epsilon": 0.5, "events": ["later"]}}
        lines[0]["environment"]["host"] = "b"
        lines[1]["comment"] = "ignored"

    file = read_session_file(forged(FILE, extend))
    assert file.header.tolerance == Tolerance(epsilon=0.5)
    changed = msgspec.structs.replace(file.header, tolerance=Tolerance(epsilon=1.5))
    header = json.loads(next(written(msgspec.structs.replace(file, header=changed))))
    assert header["owner"] == {"team": "a"} and header["environment"]["host"] == "b"
    assert header["tolerance"] == {"epsilon": 1.5, "events": ["later"]}
    without = msgspec.structs.replace(file.header, tolerance=None)
    assert "tolerance" not in json.loads(next(written(msgspec.structs.replace(file, header=without))))


def test_the_header_says_what_was_redacted() -> None:
    file = read_session_file(content_of(RECORD, redaction=Redaction({"email": 2})))
    assert file.header.redaction == Redaction({"email": 2})


def test_a_truncated_file_is_refused_at_every_byte() -> None:
    content = content_of(msgspec.structs.replace(RECORD, turns={}, session=RECORD.session[:1]))
    assert read_session_file(content)
    for length in range(len(content)):
        assert refused(content[:length]), length
    assert "truncated: its closing line is missing" in refused(content[:-1])
    assert "truncated: its closing line is missing" in refused(FILE[: len(FILE) // 2])


def test_a_change_of_any_byte_is_noticed() -> None:
    content = content_of(msgspec.structs.replace(RECORD, turns={}, session=RECORD.session[:1]))
    for at in range(len(content)):
        assert refused(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]), at


def lines_without(*numbers: int) -> bytes:
    return b"".join(line for n, line in enumerate(FILE.splitlines(keepends=True), 1) if n not in numbers)


def swapped(first: int, second: int) -> bytes:
    lines = FILE.splitlines(keepends=True)
    lines[first - 1], lines[second - 1] = lines[second - 1], lines[first - 1]
    return b"".join(lines)


COUNT = len(FILE.splitlines())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a session file"),
        (b"\n", "not a session file"),
        (b"PK\x03\x04", "not a session file"),
        (b'{"line":"header","format":"other","format_version":1}\n', "not a session file"),
        (b'{"turn_id": 1}\n', "not a session file"),
        (b"[" * 100_000, "not a session file"),
        (FILE.replace(b"At ten", b"At two", 1), "is not what was written"),
        (
            lines_without(3),
            "Line 3 of the session file is not what was written there: the file has 1 line fewer",
        ),
        (lines_without(COUNT - 1, COUNT - 2), "truncated: 2 of"),
        (lines_without(COUNT), "closing line is missing"),
        (swapped(3, 4), "Line 3"),
        (FILE + FILE.splitlines(keepends=True)[1], "closing line is missing"),
        (FILE + b" ", "continues after its closing line"),
        (FILE.replace(b"\n", b"\r\n"), "Line 1 of the session file is not what was written"),
        (FILE.replace(b'"chain":"', b'"chain":"0', 1), "its closing line was changed"),
        (FILE.replace(b'"blobs":1', b'"blobs":2', 1), "its closing line was changed"),
    ],
)
def test_a_damaged_file_is_refused(content: bytes, said: str) -> None:
    assert said in refused(content)


def each(kind: str, lines: Lines) -> Iterator[dict[str, Any]]:
    return (line for line in lines if line["line"] == kind)


def event(lines: Lines, name: str) -> dict[str, Any]:
    return next(line for line in each("event", lines) if line["name"] == name)


def newer_format(lines: Lines) -> None:
    lines[0] |= {"format_version": 2, "environment": {"version": "9.1.0"}}


def newer_event(lines: Lines) -> None:
    lines[0]["environment"]["version"] = "9.1.0"
    for line in each("event", lines):
        if line["name"] == "turn.completed.1":
            line["name"] = line["state"]["event"] = "turn.completed.7"
        if line["name"] == "turn.resumed.1":
            line["name"] = "turn.dreamt.1"


def without_blob(lines: Lines) -> Lines:
    return [line for line in lines if line["line"] != "blob"]


def wrong_blob(lines: Lines) -> None:
    next(each("blob", lines))["content"] += "."


def other_stream(lines: Lines) -> None:
    event(lines, "turn.started.1")["stream"] = "dataset/x"


def other_category(lines: Lines) -> None:
    event(lines, "turn.started.1")["stream"] = lines[1]["stream"]


def missing_version(lines: Lines) -> Lines:
    return [line for line in lines if line.get("name") != "turn.resumed.1"]


def wrong_type(lines: Lines) -> None:
    event(lines, "turn.started.1")["state"]["input_messages"] = 7


def another_session(lines: Lines) -> None:
    lines[0]["session_id"] = "another"


def another_agent(lines: Lines) -> None:
    lines[0]["agent_id"] = "another"


def no_agent(lines: Lines) -> Lines:
    return [line for line in lines if not line.get("stream", "").startswith("agent/")]


def foreign_turn(lines: Lines) -> None:
    event(lines, "turn.started.1")["state"]["session_id"] = "another"


def unopened_turn(lines: Lines) -> Lines:
    kept = [line for line in lines if line.get("name") != "session.turn_opened.1"]
    for number, line in enumerate([one for one in kept if one.get("stream", "").startswith("session/")], 1):
        line["version"] = number
    return kept


def no_turns(lines: Lines) -> Lines:
    return [line for line in lines if not line.get("stream", "").startswith("turn/")]


def odd_id(lines: Lines) -> None:
    text = msgspec.json.encode(lines).decode().replace(RECORD.session_id, "../../other")
    lines[:] = json.loads(text)


def odd_time(lines: Lines) -> None:
    lines[2]["recorded_at"] = 10**18


def erased(lines: Lines) -> None:
    event(lines, "turn.completed.1")["state"] = {"event": "redacted"}


def deep(lines: Lines) -> list[Any]:
    return [*lines, b'{"line":"event","state":' + b"[" * 100_000 + b"]" * 100_000 + b"}"]


def deep_header(lines: Lines) -> list[Any]:
    text = msgspec.json.encode(lines[0])
    return [text[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", *lines[1:]]


def unknown_line(lines: Lines) -> Lines:
    return [*lines, {"line": "other"}]


def no_json(lines: Lines) -> list[Any]:
    return [*lines, b"not JSON"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (newer_format, "format version 2, written by Replaystack 9.1.0"),
        (newer_event, "does not know: turn.completed.7, turn.dreamt.1. It was written by Replaystack 9.1.0"),
        (without_blob, "which is missing"),
        (wrong_blob, "whose SHA-256 is not"),
        (other_stream, "names the stream 'dataset/x'"),
        (other_category, "has the event 'turn.started.1' in the stream"),
        (missing_version, "belongs"),
        (wrong_type, "cannot be read"),
        (another_session, "events of another session"),
        (another_agent, "belongs to agent"),
        (no_agent, "The events of agent"),
        (foreign_turn, "does not begin with its start in session"),
        (unopened_turn, "not those that the session opened"),
        (no_turns, "not those that the session opened"),
        (odd_id, "must have 1 to 200 letters"),
        (odd_time, "after 9999"),
        (erased, "was erased"),
        (deep, "nested too deeply"),
        (deep_header, "nested too deeply"),
        (unknown_line, "'other'"),
        (no_json, "malformed"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_a_file_whose_content_does_not_fit_is_refused(
    change: Callable[[Lines], Sequence[Any] | None], said: str
) -> None:
    assert said in refused(forged(FILE, change))


def test_a_huge_line_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_file, "MAX_LINE_BYTES", 100_000)
    with pytest.raises(session_file.TooLarge, match="at most 100000 are accepted"):
        read_session_file(FILE)


def test_keys_that_look_like_references_to_blobs_are_data() -> None:
    file = file_of(RECORD)
    first = next(iter(RECORD.turns))
    turn = RECORD.turns[first]
    trap = {"$blob": "0" * 64, "bytes": 9}
    started = msgspec.structs.replace(
        turn[0].event, documents=[Document("x", "text/plain", metadata={"data": trap, "$$blob": 1})]
    )
    record = msgspec.structs.replace(
        RECORD, turns={**RECORD.turns, first: [turn[0]._replace(event=started), *turn[1:]]}
    )
    assert read_session_file(b"".join(written(msgspec.structs.replace(file, record=record)))).record == record
