"""Compares two sessions turn by turn: what was said, which tools were called, tokens, time and scores.

Sessions are taken as the server answers them (`GET` of a session, and of the outcomes of its turns).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct

MAX_WORDS = 4_000
"""Longer texts are compared by lines: comparing words takes time in proportion to the square of their number."""

Change = Literal["shared", "same", "changed", "only_a", "only_b"]
Part = Literal["same", "removed", "added"]

_WORDS = re.compile(r"\s*\S+|\s+$")
_LINES = re.compile(r"[^\n]*\n|[^\n]+")
_canonical = msgspec.json.Encoder(order="sorted").encode


class Piece(Struct, frozen=True):
    """A part of a text: in both sessions, only in A (removed) or only in B (added)."""

    part: Part
    text: str


class CallPiece(Struct, frozen=True, omit_defaults=True):
    """A call of a tool. `result` says whether the results are the same, "" for a call of one session only."""

    part: Part
    tool: str
    arguments: str
    result: Literal["", "same", "changed"] = ""


class Side(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A turn of one session. Tokens are absent if the model server did not report them; `duration_ms` is absent while the
    turn has not ended."""

    turn_id: str
    status: str
    input_tokens: int | None = None
    output_tokens: int | None = None
    duration_ms: float | None = None
    score: float | None = None


class TurnDiff(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The turns with one number in both sessions. `copied_steps` is the number of steps that were copied from one to the
    other, because it was forked in the middle of the turn. `input`, `answer` and `calls` are absent for a shared turn."""

    number: int
    change: Change
    a: Side | None = None
    b: Side | None = None
    copied_steps: int = 0
    input: list[Piece] = []
    answer: list[Piece] = []
    calls: list[CallPiece] = []


class SessionDiff(Struct, frozen=True, kw_only=True):
    """`shared`, `same` and so on are numbers of turns."""

    a: str
    b: str
    shared: int
    same: int
    changed: int
    only_a: int
    only_b: int
    turns: list[TurnDiff]

    @property
    def differs(self) -> bool:
        return bool(self.changed or self.only_a or self.only_b)


class Shown(Struct, frozen=True, kw_only=True):
    """A session with the outcomes of its turns, and their scores where there are any, by id."""

    session: Mapping[str, Any]
    outcomes: Mapping[str, Mapping[str, Any]]
    scores: Mapping[str, float] = {}


def compare(a: Shown, b: Shown) -> SessionDiff:
    """Compares the first turns with each other, the second ones, and so on."""
    pairs = zip_longest(a.session["turns"], b.session["turns"])
    turns = [_turn(number, one, other, a, b) for number, (one, other) in enumerate(pairs, 1)]
    counts = {change: sum(1 for turn in turns if turn.change == change) for change in get_args(Change)}
    return SessionDiff(a=a.session["session_id"], b=b.session["session_id"], turns=turns, **counts)


def _turn(
    number: int, one: Mapping[str, Any] | None, other: Mapping[str, Any] | None, a: Shown, b: Shown
) -> TurnDiff:
    if one is None or other is None:
        return _alone(number, _side(one, a), _side(other, b), one or other or {})
    ours, theirs = _side(one, a), _side(other, b)
    if one["turn_id"] == other["turn_id"]:
        return TurnDiff(number=number, change="shared", a=ours, b=theirs)
    said = words(text_of_input(one), text_of_input(other))
    answered = words(text_of_answer(one), text_of_answer(other))
    calls = _call_pieces(_calls(one), _calls(other))
    parts = {piece.part for piece in (*said, *answered)} | {call.part for call in calls}
    is_same = parts <= {"same"} and all(call.result == "same" for call in calls)
    statuses = [turn.status for turn in (ours, theirs) if turn is not None]
    return TurnDiff(
        number=number,
        change="same" if is_same and len(set(statuses)) == 1 else "changed",
        a=ours,
        b=theirs,
        copied_steps=_copied_steps(one, other),
        input=said,
        answer=answered,
        calls=calls,
    )


def _alone(number: int, a: Side | None, b: Side | None, turn: Mapping[str, Any]) -> TurnDiff:
    part: Part = "removed" if b is None else "added"
    said, answered = text_of_input(turn), text_of_answer(turn)
    return TurnDiff(
        number=number,
        change="only_a" if b is None else "only_b",
        a=a,
        b=b,
        input=[Piece(part, said)] if said else [],
        answer=[Piece(part, answered)] if answered else [],
        calls=[CallPiece(part, *call) for call, _ in _calls(turn)],
    )


def _side(turn: Mapping[str, Any] | None, shown: Shown) -> Side | None:
    if turn is None:
        return None
    outcome = shown.outcomes.get(turn["turn_id"], {})
    usage = outcome.get("usage") or {}
    return Side(
        turn_id=turn["turn_id"],
        status=outcome.get("status", ""),
        input_tokens=usage.get("input_tokens"),
        output_tokens=usage.get("output_tokens"),
        duration_ms=_duration_ms(turn),
        score=shown.scores.get(turn["turn_id"]),
    )


def _duration_ms(turn: Mapping[str, Any]) -> float | None:
    if not turn.get("completed_at"):
        return None
    ended, started = (datetime.fromisoformat(turn[name]) for name in ("completed_at", "started_at"))
    return round((ended - started).total_seconds() * 1000, 3)


def _copied_steps(one: Mapping[str, Any], other: Mapping[str, Any]) -> int:
    count = 0
    for step, copy in zip(one["steps"], other["steps"], strict=False):
        if step["step_id"] != copy["step_id"]:
            break
        count += 1
    return count


def text_of_input(turn: Mapping[str, Any]) -> str:
    return "\n".join(_text(message["content"]) for message in turn.get("input_messages", ()))


def text_of_answer(turn: Mapping[str, Any]) -> str:
    return _text(turn.get("output_message", {}).get("content", ""))


def _text(content: Any) -> str:
    """Returns the text of interleaved content; an image is named."""
    if isinstance(content, str):
        return content
    items = content if isinstance(content, list) else [content]
    return "\n".join(item if isinstance(item, str) else item.get("text", "[image]") for item in items)


def _calls(turn: Mapping[str, Any]) -> list[tuple[tuple[str, str], str]]:
    """Returns the calls of a turn in order, each as `((tool, canonical arguments), result)`; the result is "" for a call
    that was not executed."""
    calls: dict[str, Mapping[str, Any]] = {}
    results: dict[str, str] = {}
    for step in turn.get("steps", ()):
        asked = step.get("model_response", {}).get("tool_calls") or step.get("tool_calls") or ()
        calls |= {call["call_id"]: call for call in asked}
        results |= {one["call_id"]: _text(one["content"]) for one in step.get("tool_responses", ())}
    return [
        ((call["tool_name"], _arguments(call["arguments"])), results.get(call_id, ""))
        for call_id, call in calls.items()
    ]


def _arguments(arguments: Any) -> str:
    if isinstance(arguments, str):
        try:
            arguments = msgspec.json.decode(arguments)
        except msgspec.DecodeError:
            return str(arguments)
    return _canonical(arguments).decode()


def _call_pieces(
    a: Sequence[tuple[tuple[str, str], str]], b: Sequence[tuple[tuple[str, str], str]]
) -> list[CallPiece]:
    pieces: list[CallPiece] = []
    matcher = SequenceMatcher(None, [key for key, _ in a], [key for key, _ in b], autojunk=False)
    for tag, a_from, a_to, b_from, b_to in matcher.get_opcodes():
        if tag == "equal":
            for (key, result), (_, other) in zip(a[a_from:a_to], b[b_from:b_to], strict=True):
                pieces.append(CallPiece("same", *key, result="same" if result == other else "changed"))
            continue
        pieces += [CallPiece("removed", *key) for key, _ in a[a_from:a_to]]
        pieces += [CallPiece("added", *key) for key, _ in b[b_from:b_to]]
    return pieces


def words(a: str, b: str) -> list[Piece]:
    """Returns the words of both texts in order, those of long texts by lines: all pieces but the added ones are `a`, all but
    the removed ones `b`."""
    if a == b:
        return [Piece("same", a)] if a else []
    ours, theirs = _WORDS.findall(a), _WORDS.findall(b)
    if max(len(ours), len(theirs)) > MAX_WORDS:
        ours, theirs = _LINES.findall(a), _LINES.findall(b)
    pieces: list[Piece] = []
    for tag, a_from, a_to, b_from, b_to in SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        if tag == "equal":
            pieces.append(Piece("same", "".join(ours[a_from:a_to])))
            continue
        if removed := "".join(ours[a_from:a_to]):
            pieces.append(Piece("removed", removed))
        if added := "".join(theirs[b_from:b_to]):
            pieces.append(Piece("added", added))
    return pieces
