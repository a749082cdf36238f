"""Checks that a recorded session, run again with what was recorded, comes out the same."""

from __future__ import annotations

from schemas.api.session_check import TurnReport
from schemas.events.turn import TurnEffectSettled
from stack.eventstore import stream_name
from stack.services.replay.comparison import first_difference
from stack.services.replay.recorded_parts import Unreplayable
from stack.services.replay.recorded_streams import RecordedStreams
from stack.services.replay.replayed_turn import ReplayedTurn, own_events
from stack.services.replay.report import Run, report_of, turn_report, verdict_of
from stack.services.replay.session_record import SessionRecord
from stack.services.turns.conversation import Conversations


async def check(record: SessionRecord) -> Run:
    """Runs each turn of a session again, with today's runner and the recorded results, without any model, tool or socket,
    and compares the events."""
    streams = RecordedStreams({stream_name("turn", id): turn for id, turn in record.turns.items()})
    if any(isinstance(one.event, TurnEffectSettled) for turn in record.turns.values() for one in turn):
        # A result that was settled later was not in the history of the turns before that.
        streams.until = 0
    conversations = Conversations(streams)
    reports, events = [], {}
    for number, turn_id in enumerate(record.turns, 1):
        turn = ReplayedTurn(record, turn_id, streams, conversations)
        reports.append(await _checked(record, turn_id, number, turn))
        events[turn_id] = turn.events
    return Run(report=report_of(record.session_id, reports), turns=events)


async def _checked(record: SessionRecord, turn_id: str, number: int, turn: ReplayedTurn) -> TurnReport:
    recorded = record.turns[turn_id]
    try:
        await turn.run()
    except Unreplayable as problem:
        reason = f"Turn {number} cannot be run again: {problem}."
        return TurnReport(turn_id=turn_id, number=number, verdict="unreplayable", reason=reason)
    difference = first_difference(own_events(recorded), turn.events)
    return turn_report((number, turn_id), verdict_of(difference), len(recorded), difference, recorded)
