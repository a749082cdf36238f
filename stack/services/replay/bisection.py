"""Finds the first change that made an outcome bad, by halving."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from schemas.events.base import Event
from schemas.events.turn import TurnStepCompleted
from stack.errors import Conflict
from stack.services.replay.session_record import SessionRecord

IsGood = Callable[[int], Awaitable[bool]]


async def first_bad(count: int, is_good: IsGood) -> int:
    """Returns the first of `count` candidates in order that is bad, given that the first is good and the last is bad.
    Tries about log2(count) candidates. Raises Conflict if the ends are not as given."""
    if not await is_good(0):
        raise Conflict("What was given as good is bad.")
    if await is_good(count - 1):
        raise Conflict("What was given as bad is good.")
    good, bad = 0, count - 1
    while bad - good > 1:
        middle = (good + bad) // 2
        if await is_good(middle):
            good = middle
        else:
            bad = middle
    return bad


class AnswerPlace(Struct, frozen=True):
    """Where an answer of a model is: the number of the turn, and that of its event in the turn, both from 1."""

    turn: int
    event: int

    def __str__(self) -> str:
        return f"{self.turn}.{self.event}"


def answers_in(record: SessionRecord) -> list[AnswerPlace]:
    """Returns the places of all recorded answers of models, in order."""
    return [
        AnswerPlace(number, one.version)
        for number, turn in enumerate(record.turns.values(), 1)
        for one in turn
        if _is_answer(one.event)
    ]


def answers_until(places: Sequence[AnswerPlace], end: AnswerPlace) -> int:
    """Returns how many of the answers are at or before a place."""
    return sum(1 for place in places if (place.turn, place.event) <= (end.turn, end.event))


def _is_answer(event: Event) -> bool:
    return isinstance(event, TurnStepCompleted) and event.step_type == "inference"
