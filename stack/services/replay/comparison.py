"""Compares the events of a turn with those of the same turn run again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from schemas.api.session_check import Difference, Kind
from schemas.events.base import Event
from schemas.events.payload import ToolCall
from schemas.events.turn import (
    Owner,
    TurnAbandoned,
    TurnAwaitingInput,
    TurnCancelled,
    TurnCompleted,
    TurnFailed,
    TurnInputReceived,
    TurnInputRequested,
    TurnRestarted,
    TurnResumed,
    TurnStarted,
    TurnStepCompleted,
    TurnStepFailed,
    TurnStepStarted,
    TurnToolCalled,
    TurnToolReturned,
    TurnToolsResolved,
    TurnToolSuspended,
)
from stack.domain.tool_call import canonical
from stack.domain.turn_action import NO_SUCH_TOOL

NO_OWNER = Owner("", "")
_CALL_EVENTS = (TurnToolCalled, TurnToolReturned, TurnToolSuspended)


class Said(Struct, frozen=True):
    """The content of an event without ids and times."""

    kind: Kind
    value: Any


def first_difference(recorded: Sequence[tuple[int, Event]], replayed: Sequence[Event]) -> Difference | None:
    """Returns the first divergence, or the first detail that differs if there is none; None if the turns are identical:
    then each event has the same content, apart from its caller, owner and deadline, in the same order, apart from calls
    that ran at the same time. `recorded` are pairs of an index and an event."""
    plain = [(index, plain_event(event)) for index, event in recorded]
    ours = [plain[place] for place in in_order([event for _, event in plain])]
    others = list(map(plain_event, replayed))
    theirs = [others[place] for place in in_order(others)]
    after = recorded[-1][0] + 1 if recorded else 0
    marks = Marks([event for _, event in plain], others)
    detail: Difference | None = None
    for here, theirs_now in zip_longest(ours, theirs):
        index, ours_now = here if here is not None else (after, None)
        theirs_now = _as_known(ours_now, theirs_now)
        if ours_now != theirs_now:
            kind = marks.class_of(ours_now, theirs_now)
            if kind is not None:
                return shown(kind, index, ours_now, theirs_now)
            detail = detail or shown("detail", index, ours_now, theirs_now)
    return detail


class Marks:
    """The calls that only one of two runs asked a decision for, or refused because there is no such tool: they say why
    the runs part before these events."""

    def __init__(self, ours: Iterable[Event], theirs: Iterable[Event]) -> None:
        (asked, refused), (other_asked, other_refused) = _marked(ours), _marked(theirs)
        self._asked = asked ^ other_asked
        self._refused = refused ^ other_refused

    def class_of(self, recorded: Event | None, replayed: Event | None) -> Kind | None:
        """Returns the class of the difference of two events; None if they say the same."""
        kind = _class_of(recorded, replayed)
        if kind != "tool arguments":
            return kind
        calls = _call_ids(recorded) | _call_ids(replayed)
        if calls & self._refused or (self._refused and not calls):
            return "tool set"
        return "approval" if calls & self._asked else kind


def _marked(events: Iterable[Event]) -> tuple[set[str], set[str]]:
    asked: set[str] = set()
    refused: set[str] = set()
    for event in events:
        match event:
            case TurnInputRequested():
                asked.add(event.call_id)
            case TurnToolReturned() if _is_refusal(event.content):
                refused.add(event.call_id)
            case TurnStepCompleted():
                responses = event.tool_responses or ()
                refused.update(one.call_id for one in responses if _is_refusal(one.content))
    return asked, refused


def _is_refusal(content: object) -> bool:
    return isinstance(content, str) and content.startswith(NO_SUCH_TOOL)


def _call_ids(event: Event | None) -> set[str]:
    match event:
        case TurnStepStarted(tool_calls=list() as calls):
            return {call.call_id for call in calls}
        case TurnAwaitingInput(output_message=output):
            return {call.call_id for call in output.tool_calls or ()}
    return {call_id} if (call_id := _call_id(event)) else set()


def _as_known(recorded: Event | None, replayed: Event | None) -> Event | None:
    """Returns the replayed event without the parts of its request that the recorded one does not have: what another tool
    sent to its models, and how it chose them, is not known."""
    if (
        isinstance(recorded, TurnStepStarted)
        and isinstance(replayed, TurnStepStarted)
        and not recorded.request_digest
    ):
        return replace(replayed, request_digest="", model=recorded.model, parameters=recorded.parameters)
    return replayed


def plain_event(event: Event) -> Event:
    """Returns the event without what belongs to one run: the caller, the process, the time."""
    event = replace(event, actor="", trace_id="", occurred_at=0)
    match event:
        case TurnStarted() | TurnRestarted() | TurnResumed():
            return replace(event, owner=NO_OWNER)
        case TurnInputRequested():
            return replace(event, deadline=0)
    return event


def in_order(events: Sequence[Event]) -> list[int]:
    """Returns the places of the events such that calls that ran at the same time follow each other, in the order in
    which the model made them."""
    places: list[int] = []
    roots: dict[str, int] = {}
    batch: list[int] = []
    for place, event in enumerate(events):
        if isinstance(event, _CALL_EVENTS):
            batch.append(place)
            continue
        places += _grouped(batch, events, roots)
        batch = []
        places.append(place)
        if isinstance(event, TurnStepStarted) and event.tool_calls:
            roots = {call.call_id: number for number, call in enumerate(event.tool_calls)}
    return places + _grouped(batch, events, roots)


def _grouped(batch: Sequence[int], events: Sequence[Event], roots: dict[str, int]) -> list[int]:
    by_root: dict[int, list[int]] = {}
    for place in batch:
        by_root.setdefault(_root(_call_id(events[place]), roots), []).append(place)
    found: list[int] = []
    for _, own in sorted(by_root.items()):
        nested: list[int] = []
        for place in own:
            if _call_id(events[place]) in roots:
                found += sorted(nested, key=lambda one: _path(_call_id(events[one])))
                nested = []
                found.append(place)
            else:
                nested.append(place)
        found += sorted(nested, key=lambda one: _path(_call_id(events[one])))
    return found


def _call_id(event: Event | None) -> str:
    return getattr(event, "call_id", "")


def _root(call_id: str, roots: dict[str, int]) -> int:
    while call_id and call_id not in roots:
        call_id = call_id.rpartition(".")[0]
    return roots.get(call_id, len(roots))


def _path(call_id: str) -> list[tuple[int, str]]:
    return [(int(part) if part.isdigit() else 0, part) for part in call_id.split(".")]


def _class_of(recorded: Event | None, replayed: Event | None) -> Kind | None:
    """Returns the class of the difference of two events; None if they say the same."""
    ours, theirs = said(recorded), said(replayed)
    if ours is None and theirs is None:
        return None
    if ours is not None and theirs is not None and ours == theirs:
        return None
    kinds = {one.kind for one in (ours, theirs) if one is not None}
    for kind in ("approval", "shield", "limit", "tool set"):
        if kind in kinds:
            return kind
    if recorded is None or replayed is None or type(recorded) is not type(replayed):
        # The runs part here: one ends, or calls, where the other goes on.
        for kind in ("tool arguments", "answer"):
            if kind in kinds:
                return kind
    return next(iter(kinds)) if theirs is None or ours is None else theirs.kind


def said(event: Event | None) -> Said | None:
    match event:
        case TurnToolsResolved():
            return Said("tool set", event.digest)
        case TurnStepStarted(step_type="inference"):
            return Said("request", (event.request_digest, event.model, event.parameters))
        case TurnStepStarted(step_type="tool_execution"):
            return Said("tool arguments", _calls(event.tool_calls or ()))
        case TurnStepStarted(step_type="shield_call"):
            return Said("shield", event.touchpoint)
        case TurnStepStarted():
            return Said("request", event.step_type)
        case TurnStepCompleted(step_type="shield_call"):
            return Said("shield", event.violation)
        case TurnStepCompleted(step_type="memory_retrieval"):
            return Said("request", event.inserted_context)
        case TurnStepCompleted(step_type="tool_execution"):
            results = [(one.call_id, one.content) for one in event.tool_responses or ()]
            return Said("tool arguments", results)
        case TurnStepCompleted():
            output = event.withheld or event.output
            calls = _calls(output.tool_calls or ()) if output else ()
            is_withheld = event.withheld is not None
            kind: Kind = "shield" if is_withheld else "answer"
            return Said(kind, (is_withheld, output and output.content, output and output.stop_reason, calls))
        case TurnStepFailed():
            return Said("answer", (event.error.status, event.error.detail))
        case TurnToolCalled():
            call = (
                event.call_id,
                event.toolgroup,
                event.tool_name,
                canonical(event.arguments),
                event.attempt,
            )
            return Said("tool arguments", call)
        case TurnToolReturned():
            kind = "approval" if event.status == "denied" else "tool arguments"
            return Said(kind, (event.call_id, event.status, event.content))
        case TurnToolSuspended():
            return Said("tool arguments", (event.call_id, _calls(event.calls or ()), event.question))
        case TurnInputRequested():
            return Said("approval", (event.kind, event.call_id, event.tool_name, event.digest))
        case TurnInputReceived():
            return Said("approval", (event.call_id, event.decision))
        case TurnAwaitingInput():
            return Said("tool arguments", _calls(event.output_message.tool_calls or ()))
        case TurnCompleted(output_message=output):
            kind = "limit" if output.stop_reason == "out_of_tokens" else "answer"
            return Said(kind, (output.content, output.stop_reason))
        case TurnFailed():
            return Said("answer", (event.error.status, event.error.detail))
        case TurnCancelled() | TurnAbandoned():
            return Said("answer", type(event).__name__)
    return None


def _calls(calls: Iterable[ToolCall]) -> tuple[tuple[str, bytes], ...]:
    return tuple((call.tool_name, canonical(call.arguments)) for call in calls)


def shown(kind: Kind, index: int, recorded: Event | None, replayed: Event | None) -> Difference:
    name = _name(recorded if recorded is not None else replayed)
    return Difference(kind=kind, index=index, event=name, recorded=_text(recorded), replayed=_text(replayed))


def _name(event: Event | None) -> str:
    return str(type(event).__struct_config__.tag).rpartition(".")[0] if event is not None else ""


MAX_SHOWN = 2_000
NOT_SHOWN = frozenset(("event", "step_id", "actor", "trace_id", "occurred_at", "owner"))


def _text(event: Event | None) -> str:
    """Returns an event as JSON, shortened, without what identifies one run."""
    if event is None:
        return ""
    content = {name: value for name, value in msgspec.to_builtins(event).items() if name not in NOT_SHOWN}
    text = msgspec.json.encode(content).decode()
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
