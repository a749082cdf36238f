"""Computes again what the events of a redacted session hold of its content: digests of requests, calls and tools, and keys
of effects. A redacted session then gives the same verdict as the original, and no digest tells of what was redacted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from msgspec.structs import replace

from schemas.events.base import Event
from schemas.events.turn import TurnInputRequested, TurnStepStarted, TurnToolCalled, TurnToolsResolved
from stack.eventstore import Recorded
from stack.services.replay.check import check
from stack.services.replay.session_record import SessionRecord

_ROUNDS = 5
"""A digest may decide what a later one is made of: whether a call was approved, or made before."""

Place = tuple[Any, ...]
"""Names a computed value in a turn: its field, and the id of its event."""


async def redigested(original: SessionRecord, changed: SessionRecord) -> SessionRecord:
    """Returns `changed`, which has the events of `original` with other content. A value that was not that of its content is
    again another one."""
    computed = await _replayed(original)
    right = {
        turn_id: {place for place, value in _values(_events(turn)) if computed[turn_id].get(place) == value}
        for turn_id, turn in original.turns.items()
    }
    for _ in range(_ROUNDS):
        computed = await _replayed(changed)
        turns = {
            turn_id: _with_values(turn_id, turn, right[turn_id], computed[turn_id])
            for turn_id, turn in changed.turns.items()
        }
        if turns == changed.turns:
            break
        changed = replace(changed, turns=turns)
    return changed


async def _replayed(record: SessionRecord) -> dict[str, dict[Place, str]]:
    """Returns the values that the turns compute today; none for a turn that cannot be run again."""
    turns = (await check(record)).turns
    # A call that continues has the key that is recorded of its beginning: the first one is computed.
    return {turn_id: dict(reversed(list(_values(events)))) for turn_id, events in turns.items()}


def _values(turn: Sequence[Event]) -> Iterator[tuple[Place, str]]:
    resolved = 0
    for event in turn:
        match event:
            case TurnStepStarted(step_id=id, request_digest=value) if value:
                yield ("request_digest", id), value
            case TurnToolCalled(call_id=id, key=value):
                yield ("key", id), value
            case TurnInputRequested(request_id=id, digest=value):
                yield ("digest", id), value
            case TurnToolsResolved(digest=value):
                yield ("digest", resolved), value
                resolved += 1


def _events(turn: Sequence[Recorded]) -> list[Event]:
    return [one.event for one in turn]


def _with_values(
    turn_id: str, turn: Sequence[Recorded], right: set[Place], computed: Mapping[Place, str]
) -> list[Recorded]:
    places = iter([place for place, _ in _values(_events(turn))])

    def changed(event: Event) -> Event:
        has_value = isinstance(event, TurnToolCalled | TurnInputRequested | TurnToolsResolved)
        if not has_value and not (isinstance(event, TurnStepStarted) and event.request_digest):
            return event
        place = next(places)
        value = computed.get(place) if place in right else None
        return replace(event, **{place[0]: value or _other(turn_id, place)})

    return [one._replace(event=changed(one.event)) for one in turn]


def _other(turn_id: str, place: Place) -> str:
    """Returns a value that is that of no content."""
    return sha256(f"redacted {turn_id} {place}".encode()).hexdigest()
