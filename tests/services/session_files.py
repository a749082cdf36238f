"""Session files for tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from schemas.events.payload import ToolCall, ToolResponse
from schemas.session_file import FORMAT_VERSION, Environment, SessionFileHeader
from stack.eventstore import Recorded
from stack.services.replay.imported_session import Inference, Results
from stack.services.replay.session_file import SessionFile, plain, written
from stack.services.replay.session_lines import Lines
from stack.services.replay.session_record import SessionRecord
from tests.services.recorded_sessions import DIGEST, record_with, turn

LONG = 'A "long" text\n' * 30_000
CALL = ToolCall("call_0", "search", '{"query": "harbour", "page": 1}')


def small_record() -> SessionRecord:
    """A session with two turns: one calls a tool, the other has a long text."""
    steps = (
        Inference(content="I look.", tool_calls=(CALL,), model="demo/a"),
        Results(responses=(ToolResponse("call_0", "search", "It opens at ten."),)),
        Inference(content="At ten.", model="demo/a"),
    )
    return plain_record(
        record_with(turn("When?", *steps), turn(LONG, Inference(content=LONG, model="demo/a")))
    )


def plain_record(record: SessionRecord) -> SessionRecord:
    """Returns a record as it is read from a file: its events have no times of their own."""

    def plainly(events: Sequence[Recorded]) -> list[Recorded]:
        return [one._replace(event=plain(one.event)) for one in events]

    return msgspec.structs.replace(
        record,
        agents={id: plainly(events) for id, events in record.agents.items()},
        session=plainly(record.session),
        turns={id: plainly(events) for id, events in record.turns.items()},
    )


def file_of(record: SessionRecord, **header: Any) -> SessionFile:
    made = SessionFileHeader(
        format_version=FORMAT_VERSION,
        agent_id=record.agent_id,
        session_id=record.session_id,
        events=[],
        environment=Environment("0.1.0", "3.11.0"),
        **header,
    )
    return SessionFile(header=made, record=record, digest=DIGEST)


def content_of(record: SessionRecord, **header: Any) -> bytes:
    return b"".join(written(file_of(record, **header)))


def forged(content: bytes, change: Callable[[list[dict[str, Any]]], Sequence[Any] | None]) -> bytes:
    """Returns the file with changed lines (without the closing one) and a chain that fits them."""
    found = [msgspec.json.decode(line) for line in content.splitlines()[:-1]]
    changed = change(found)
    lines = Lines()
    text = [
        lines.line(one if isinstance(one, bytes) else msgspec.json.encode(one))
        for one in (found if changed is None else changed)
    ]
    return b"".join([*text, lines.closing()])
