"""A redacted session holds none of what was selected, and gives the verdict of the original."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from schemas.api.session_check import Report
from schemas.events.agent import AgentCreated
from schemas.events.payload import CompletionMessage, Document, ToolCall, Violation
from schemas.events.turn import (
    StreamTrace,
    TurnInputRequested,
    TurnStarted,
    TurnStepCompleted,
    TurnStepStarted,
    TurnToolCalled,
)
from stack.domain.json_path import JsonPath
from stack.providers.tools.settings import ApprovalRule
from stack.services.replay.check import check
from stack.services.replay.imported_session import Inference
from stack.services.replay.redaction import redacted
from stack.services.replay.redaction_rules import PathRule, Rules, rules_of
from stack.services.replay.session_file import SessionFile, read_session_file, written
from stack.services.replay.session_record import SessionRecord
from tests.services.recorded_sessions import record_with, session_records, turn
from tests.services.session_files import file_of, plain_record
from tests.services.tool_turns import Turning

GOLDEN = Path(__file__).parents[1] / "sessions"
EMAIL = "ann@example.com"
ALL = rules_of(["all"])


def made(record: SessionRecord, rules: Rules = ALL) -> SessionFile:
    return asyncio.run(redacted(file_of(record), rules))


def content(file: SessionFile) -> str:
    return b"".join(written(file)).decode()


def test_a_path_reaches_the_whole_session() -> None:
    answer = Inference(content="Your password hunter2 is weak.", model="demo/a")
    record = record_with(turn("My password is hunter2 and my name is bo", answer))
    started = next(iter(record.turns.values()))[0]
    document = Document({"secret": "hunter2", "short": "bo", "n": 5}, "application/json")
    event = replace(started.event, documents=[document])
    [turn_id] = record.turns
    record = replace(record, turns={turn_id: [started._replace(event=event), *record.turns[turn_id][1:]]})
    rules = Rules(
        paths=(
            PathRule("password", JsonPath("$.documents[*].content.secret")),
            PathRule("name", JsonPath("$..short")),
            PathRule("n", JsonPath("$..n")),
        )
    )
    file = made(record, rules)
    shown = content(file)
    assert "hunter2" not in shown and "My password is [password:1] and my name is bo" in shown
    assert "Your password [password:1] is weak." in shown
    first = next(iter(file.record.turns.values()))[0].event
    assert isinstance(first, TurnStarted) and first.documents is not None
    assert first.documents[0].content == {"secret": "[password:1]", "short": "[name:1]", "n": 1}
    assert file.header.redaction is not None
    assert file.header.redaction.rules == {"password": 4, "name": 1, "n": 1}


def test_a_file_is_redacted_twice() -> None:
    record = record_with(turn(f"From {EMAIL}", Inference(content="bob@example.com", model="demo/a")))
    once = made(record, rules_of(own=[("email", "ann@example.com")]))
    assert "[email:1]" in content(once) and once.header.redaction is not None
    twice = asyncio.run(redacted(read_session_file(content(once).encode()), ALL))
    shown = content(twice)
    assert "[email:1]" in shown and "[email:2]" in shown and "bob@" not in shown
    assert twice.header.redaction is not None and twice.header.redaction.rules["email"] >= 2
    again = asyncio.run(redacted(twice, ALL))
    assert again.record == twice.record


def test_ids_names_and_kinds_stay() -> None:
    record = record_with(turn("Hello", Inference(content="Hi", model="demo/a")))
    file = made(record, rules_of(own=[("any", ".+")]))
    assert file.record.turns.keys() == record.turns.keys()
    started = next(iter(file.record.turns.values()))[0].event
    assert isinstance(started, TurnStarted) and started.session_id == record.session_id
    [message] = started.input_messages
    assert message.role == "user" and str(message.content).startswith("[any:")
    [created] = [one.event for one in file.record.agents[record.agent_id]]
    assert isinstance(created, AgentCreated) and created.config.model == "demo/a"


SEND = ("send", f'{{"to":"{EMAIL}", "card": 4111111111111111}}')
OTHER = ("send", '{"to":"bob@example.com"}')


def verdict(touchpoint: str, texts: list[str]) -> Violation | None:
    return None


SCRIPTS: dict[str, dict[str, Any]] = {
    "calls": {"script": [[SEND, ("look", "{}")], [SEND], [OTHER]]},
    "twice the same": {"script": [[SEND], [SEND], [SEND]]},
    "code": {"script": [[("code", f'{{"to":"{EMAIL}"}}')]]},
    "a failing tool": {"script": [[("break", f'{{"to":"{EMAIL}"}}')]]},
    "no JSON": {"script": [[("send", f"to {EMAIL}")]]},
    "shields": {"script": [[SEND]], "verdict": verdict},
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_redacted_session_is_as_identical_as_the_original(name: str) -> None:
    turning = Turning(**SCRIPTS[name])
    turning.run()
    assert_same_verdict(turning.record)


def assert_same_verdict(record: SessionRecord) -> SessionFile:
    file = made(record)
    shown = content(file)
    for secret in (EMAIL, "4111", "bob@"):
        assert secret not in shown
    [before, after] = [asyncio.run(check(one)).report for one in (record, file.record)]
    assert (after.verdict, after.first) == (before.verdict, before.first), after.first
    for kind, field in ((TurnToolCalled, "key"), (TurnInputRequested, "digest")):
        for old, new in zip(events_of(record, kind), events_of(file.record, kind), strict=True):
            assert (old.arguments == new.arguments) is (getattr(old, field) == getattr(new, field))
    return file


def events_of(record: SessionRecord, kind: type) -> list[Any]:
    return [one.event for events in record.turns.values() for one in events if isinstance(one.event, kind)]


def test_an_approved_call_is_redacted() -> None:
    turning = Turning([[SEND], [SEND]], approval=[ApprovalRule(tools=["send"])])
    turning.run()
    turning.answer(call_0_0=("", {"decision": "approve"}))
    turning.answer(call_1_0=(f"Not to {EMAIL}", {"decision": "deny"}))
    assert_same_verdict(turning.record)


def test_a_question_of_a_tool_is_redacted() -> None:
    turning = Turning([[("ask", f'{{"to":"{EMAIL}"}}')]])
    turning.run()
    turning.answer(call_0_0=(f'{{"folder": "{EMAIL}"}}', {"decision": "accept"}))
    assert_same_verdict(turning.record)


@pytest.mark.parametrize("crash_at", range(1, 21))
def test_an_interrupted_session_is_redacted(crash_at: int) -> None:
    turning = Turning([[SEND, OTHER], [SEND]], crash_at=crash_at)
    turning.run()
    assert_same_verdict(turning.record)


def test_a_diverged_session_stays_so() -> None:
    turning = Turning([[SEND, ("look", "{}")], [SEND]])
    turning.run()
    record = turning.record
    changed = [
        one._replace(event=replace(one.event, request_digest="0" * 64))
        if isinstance(one.event, TurnStepStarted) and one.version > 4 and one.event.request_digest
        else one
        for one in record.turns["turn-1"]
    ]
    record = replace(record, turns={"turn-1": changed})
    before = asyncio.run(check(record)).report
    after = asyncio.run(check(made(record).record)).report
    assert before.verdict == after.verdict == "diverged"
    assert before.first is not None and after.first is not None
    assert before.first.version == after.first.version
    assert before.first.difference is not None and after.first.difference is not None
    assert before.first.difference.kind == after.first.difference.kind


def step(output: CompletionMessage, trace: StreamTrace, **more: Any) -> TurnStepCompleted:
    return TurnStepCompleted(step_id="s", step_type="inference", output=output, trace=trace, **more)


def traced(
    said: str, lengths: Sequence[int], calls: Sequence[ToolCall] = (), sources: Sequence[int] | None = None
) -> tuple[str, StreamTrace]:
    """Returns the text and the trace of an answer after redaction."""
    output = CompletionMessage(content=said, stop_reason="end_of_turn", tool_calls=list(calls) or None)
    trace = StreamTrace(list(lengths), [1] * len(lengths), None if sources is None else list(sources))
    record = record_with(turn("x", Inference(content="y", model="demo/a")))
    [turn_id] = record.turns
    events = record.turns[turn_id]
    record = replace(
        record,
        turns={turn_id: [*events, events[-1]._replace(version=len(events) + 1, event=step(output, trace))]},
    )
    event = made(record).record.turns[turn_id][-1].event
    assert isinstance(event, TurnStepCompleted) and event.output is not None and event.trace is not None
    return str(event.output.content), event.trace


@pytest.mark.parametrize(
    ("said", "lengths", "expected", "pieces", "delays"),
    [
        (f"To {EMAIL} now", [3, 15, 4], "To [email:1] now", ["To ", "[email:1]", " now"], [1, 1, 1]),
        (f"To {EMAIL} now", [5, 5, 5, 5, 2], "To [email:1] now", ["To [email:1]", " n", "ow"], [1, 3, 1]),
        (
            f"To {EMAIL} now",
            [1] * 22,
            "To [email:1] now",
            ["T", "o", " ", "[email:1]", " ", "n", "o", "w"],
            [1, 1, 1, 1, 15, 1, 1, 1],
        ),
        (EMAIL, [8, 7], "[email:1]", ["[email:1]"], [1]),
        ("nothing", [3, 4], "nothing", ["not", "hing"], [1, 1]),
    ],
)
def test_the_trace_cuts_the_redacted_text(
    said: str, lengths: list[int], expected: str, pieces: list[str], delays: list[int]
) -> None:
    shown, trace = traced(said, lengths)
    assert shown == expected
    cut, at = [], 0
    for length in trace.lengths:
        cut.append(shown[at : at + length])
        at += length
    assert (cut, trace.delays_ms) == (pieces, delays)


def test_the_trace_cuts_redacted_arguments() -> None:
    arguments = f'{{"to":"{EMAIL}"}}'
    _, trace = traced("Hi", [2, 0, 9, 9, 6, -1], [ToolCall("c", "send", arguments)], [-1, 0, 0, 0, 0, 0])
    assert trace.calls is not None
    assert sum(length for length in trace.lengths[1:] if length > 0) == len('{"to":"[email:1]"}')
    assert trace.lengths[:2] == [2, 0] and trace.lengths[-1] == -1 and len(trace.calls) == len(trace.lengths)


@given(session_records())
@settings(max_examples=15, deadline=None)
def test_any_session_keeps_its_verdict(record: SessionRecord) -> None:
    before = asyncio.run(check(record)).report
    for rules in (
        rules_of(own=[("word", "[a-z0-9]+")]),
        rules_of(own=[("letter", ".")], paths=[("all", "$..content")]),
    ):
        file = made(plain_record(record), rules)
        after = asyncio.run(check(file.record)).report
        assert place_of(after) == place_of(before)
        assert read_session_file(content(file).encode()).record == file.record


def place_of(report: Report) -> tuple[Any, ...]:
    first = report.first
    if first is None or first.difference is None:
        return (report.verdict,)
    return report.verdict, first.number, first.version, first.difference.kind


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.session.jsonl")), ids=lambda path: path.stem)
def test_real_streams_are_redacted(path: Path) -> None:
    """Words of streamed answers and arguments, which begin and end within chunks and span several."""
    original = read_session_file(path.read_bytes())
    rules = rules_of(
        ["all"],
        own=[
            ("part", "ity c"),
            ("word", "(?i)harbour|add|Because|code"),
            ("some", "false false false"),
            ("berth", "Berth 1[0-9]"),
            ("letters", "als|ity"),
        ],
    )
    file = asyncio.run(redacted(original, rules))
    assert file.header.redaction is not None
    checked = asyncio.run(check(file.record)).report
    assert checked.verdict == "identical", checked.first
    assert read_session_file(content(file).encode()).record == file.record
