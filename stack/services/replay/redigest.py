"""Computes the digests of a record again after its content was changed in a way that keeps what is equal: redacted."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from schemas.events.base import Event
from schemas.events.turn import (
    ResolvedTool,
    TurnInputRequested,
    TurnStepStarted,
    TurnToolCalled,
    TurnToolsResolved,
)
from stack.domain.tool_call import call_digest
from stack.eventstore import Recorded, stream_name
from stack.services.replay.recorded_parts import Unreplayable, tools_of
from stack.services.replay.recorded_streams import RecordedStreams
from stack.services.replay.replayed_turn import ReplayedTurn
from stack.services.replay.session_record import SessionRecord
from stack.services.turns.conversation import Conversations

_encode = msgspec.json.Encoder().encode


async def redigested(original: SessionRecord, changed: SessionRecord) -> SessionRecord:
    """Returns `changed`, whose events are those of `original` with other content, with digests that are right where the
    original's are right, and wrong where they are wrong: both records get the same verdict."""
    record = replace(changed, turns=_with_own_digests(original, changed))
    before, after = await _requests(original), await _requests(record)
    turns = {
        turn_id: [
            one._replace(event=_redigested(one.event, before[turn_id], after[turn_id])) for one in events
        ]
        for turn_id, events in record.turns.items()
    }
    return replace(record, turns=turns)


def _with_own_digests(original: SessionRecord, changed: SessionRecord) -> Mapping[str, Sequence[Recorded]]:
    """Computes the digests of tools and of calls that need a decision again, on which a runner decides."""
    turns: dict[str, Sequence[Recorded]] = {}
    digests: dict[str, str] = {}
    for turn_id, events in changed.turns.items():
        before = original.turns[turn_id]
        old_tools, new_tools = _tools(original, before), _tools(changed, events)
        renewed: list[Recorded] = []
        for old, new in zip(before, events, strict=True):
            event = new.event
            match old.event, event:
                case TurnToolsResolved() as was, TurnToolsResolved():
                    if was.tools is not None and was.digest == _digest(was.tools):
                        digests[was.digest] = _digest(event.tools or [])
                    event = replace(event, digest=digests.get(was.digest, was.digest))
                case TurnInputRequested() as was, TurnInputRequested():
                    tool, now = old_tools.get(was.tool_name), new_tools.get(event.tool_name)
                    if tool and now and was.digest == call_digest(was.toolgroup, tool, was.arguments):
                        event = replace(event, digest=call_digest(event.toolgroup, now, event.arguments))
            renewed.append(new._replace(event=event))
        turns[turn_id] = renewed
    return turns


def _tools(record: SessionRecord, events: Sequence[Recorded]) -> dict[str, str]:
    """Returns the names of the tools in their groups, by their names for the model."""
    try:
        return {one.name: one.tool for one in tools_of(record, [one.event for one in events])}
    except Unreplayable:
        return {}


def _digest(tools: Sequence[ResolvedTool]) -> str:
    return hashlib.sha256(_encode(tools)).hexdigest() if tools else ""


Digests = dict[tuple[str, str], tuple[str, str]]
"""Recorded and computed digest, by the kind and id of what they are of."""


async def _requests(record: SessionRecord) -> dict[str, Digests]:
    streams = RecordedStreams({stream_name("turn", id): turn for id, turn in record.turns.items()})
    conversations = Conversations(streams)
    found: dict[str, Digests] = {}
    for turn_id in record.turns:
        turn = ReplayedTurn(record, turn_id, streams, conversations)
        try:
            await turn.run()
        except Unreplayable:
            found[turn_id] = {}
            continue
        computed = dict(_digests_in(turn.events))
        found[turn_id] = {
            name: (recorded, computed[name])
            for name, recorded in _digests_in([event for _, event in turn.recorded])
            if name in computed
        }
    return found


def _digests_in(events: Sequence[Event]) -> list[tuple[tuple[str, str], str]]:
    found = []
    for event in events:
        match event:
            case TurnStepStarted(request_digest=digest) if digest:
                found.append((("request", event.step_id), digest))
            case TurnToolCalled(attempt=1):
                found.append((("call", event.call_id), event.key))
    return found


def _redigested(event: Event, before: Digests, after: Digests) -> Event:
    match event:
        case TurnStepStarted() if digest := _new(("request", event.step_id), before, after):
            return replace(event, request_digest=digest)
        case TurnToolCalled() if key := _new(("call", event.call_id), before, after):
            return replace(event, key=key)
    return event


def _new(name: tuple[str, str], before: Digests, after: Digests) -> str:
    """Returns the computed digest if that of the original is right."""
    recorded, computed = before.get(name, ("", "-"))
    return after[name][1] if recorded == computed and name in after else ""
