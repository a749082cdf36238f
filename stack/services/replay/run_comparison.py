"""Compares a recorded turn with another run of it, by what was said and done: ids, times and chunks do not count."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import msgspec
from msgspec import Struct

from schemas.api.session_check import Difference, Kind
from schemas.events.base import Event
from schemas.events.payload import Content, ToolCall
from schemas.events.turn import (
    TurnAbandoned,
    TurnAwaitingInput,
    TurnCancelled,
    TurnCompleted,
    TurnFailed,
    TurnInputReceived,
    TurnRestarted,
    TurnStepCompleted,
    TurnStepFailed,
    TurnStepStarted,
    TurnToolCalled,
    TurnToolReturned,
)
from schemas.session_file import Tolerance
from stack.domain.shield import refuses
from stack.services.replay.comparison import Marks, in_order, said, shown
from stack.services.replay.tolerance import NONE, alike, same_text

Indexed = tuple[int, Event]


class Rules(Struct, frozen=True, kw_only=True):
    """How two runs are compared. Differences of the classes `accepts` are reported and do not count. With `actions_only`,
    for a live model, only calls, decisions, refusals and ends are compared, and text as `tolerance` says."""

    accepts: frozenset[Kind] = frozenset()
    actions_only: bool = False
    tolerance: Tolerance = NONE


class Compared(Struct, frozen=True):
    """The first divergence, and the first difference that is accepted."""

    divergence: Difference | None
    accepted: Difference | None


def compare_runs(recorded: Sequence[Indexed], run: Sequence[Event], rules: Rules) -> Compared:
    ended, ours = _relevant(recorded, rules)
    _, theirs = _relevant(list(enumerate(run)), rules)
    if ended:
        # The recorded turn was stopped: how it would have continued is unknown.
        theirs = theirs[: len(ours)]
    marks = Marks([event for _, event in recorded], run)
    accepted: Difference | None = None
    for here, there in zip_longest(ours, theirs):
        one, other = here and here[1], there and there[1]
        if one is not None and other is not None and _same(one, other, rules):
            continue
        kind = marks.class_of(one, other) or "answer"
        index = here[0] if here is not None else (recorded[-1][0] + 1 if recorded else 0)
        difference = shown(kind, index, one, other)
        if kind not in rules.accepts or one is None or other is None or type(one) is not type(other):
            return Compared(difference, accepted)
        accepted = accepted or difference
    return Compared(None, accepted)


def _relevant(events: Sequence[Indexed], rules: Rules) -> tuple[bool, list[Indexed]]:
    """Returns whether the turn was ended from outside, and the events that count, in their order."""
    finished = {event.step_id for _, event in events if isinstance(event, TurnStepCompleted | TurnStepFailed)}
    kept: list[Indexed] = []
    for index, event in events:
        match event:
            case TurnCancelled() | TurnAbandoned():
                return True, _sorted(_without_last_step(kept))
            case TurnStepStarted() if event.step_id not in finished and event.step_type == "inference":
                continue  # a crash cut it off
            case TurnRestarted():
                continue
        if said(event) is not None and (not rules.actions_only or _is_action(event)):
            kept.append((index, event))
    return False, _sorted(kept)


def _sorted(events: Sequence[Indexed]) -> list[Indexed]:
    return [events[place] for place in in_order([event for _, event in events])]


def _without_last_step(events: list[Indexed]) -> list[Indexed]:
    """Returns the events before the step in which the turn was ended."""
    for place in range(len(events) - 1, -1, -1):
        if isinstance(events[place][1], TurnStepStarted):
            return events[:place]
    return events


def _is_action(event: Event) -> bool:
    match event:
        case TurnStepStarted(step_type="tool_execution", tool_calls=calls):
            return bool(calls)
        case TurnStepCompleted(step_type="shield_call", violation=violation):
            return refuses(violation)
        case TurnAwaitingInput() | TurnInputReceived() | TurnCompleted() | TurnFailed():
            return True
    return False


def _same(one: Event, other: Event, rules: Rules) -> bool:
    tolerance = rules.tolerance
    match one, other:
        case TurnStepStarted(step_type="tool_execution"), TurnStepStarted(step_type="tool_execution"):
            return _same_calls(one.tool_calls or (), other.tool_calls or (), tolerance)
        case TurnAwaitingInput(), TurnAwaitingInput():
            calls, others = one.output_message.tool_calls, other.output_message.tool_calls
            return _same_calls(calls or (), others or (), tolerance)
        case TurnToolCalled(), TurnToolCalled():
            same_tool = (one.toolgroup, one.tool_name) == (other.toolgroup, other.tool_name)
            return same_tool and _same_arguments(one.arguments, other.arguments, tolerance)
        case TurnToolReturned(), TurnToolReturned():
            return one.status == other.status and _same_content(one.content, other.content, tolerance)
        case TurnInputReceived(), TurnInputReceived() if rules.actions_only:
            return one.decision == other.decision
        case TurnStepCompleted(step_type="shield_call"), TurnStepCompleted(step_type="shield_call"):
            if rules.actions_only:
                return refuses(one.violation) == refuses(other.violation)
        case TurnStepCompleted(step_type="tool_execution"), TurnStepCompleted(step_type="tool_execution"):
            pairs = zip_longest(one.tool_responses or (), other.tool_responses or ())
            return all(a and b and _same_content(a.content, b.content, tolerance) for a, b in pairs)
        case TurnCompleted(), TurnCompleted() if rules.actions_only:
            limits = [each.output_message.stop_reason == "out_of_tokens" for each in (one, other)]
            texts = [_text(each.output_message.content) for each in (one, other)]
            return limits[0] == limits[1] and same_text(texts[0], texts[1], tolerance.text)
    return said(one) == said(other)


def _same_calls(ours: Sequence[ToolCall], theirs: Sequence[ToolCall], tolerance: Tolerance) -> bool:
    """Calls of one response are compared without their order."""
    left = list(theirs)
    for one in ours:
        found = next(
            (
                other
                for other in left
                if one.tool_name == other.tool_name
                and _same_arguments(one.arguments, other.arguments, tolerance)
            ),
            None,
        )
        if found is None:
            return False
        left.remove(found)
    return not left


def _same_arguments(one: str, other: str, tolerance: Tolerance) -> bool:
    try:
        return alike(msgspec.json.decode(one), msgspec.json.decode(other), tolerance)
    except (msgspec.DecodeError, RecursionError):
        return one == other


def _same_content(one: Content, other: Content, tolerance: Tolerance) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return one == other or _same_arguments(one, other, tolerance)
    return one == other


def _text(content: Content) -> str:
    return content if isinstance(content, str) else ""
