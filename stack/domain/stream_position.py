"""The position of a reader in the stream of a turn, or of a session: the id of a frame.

An id is `<version>.<n>`: the version of the event (in the turn's stream) that the frame belongs to, and the
frame's number within it. Ids increase across restarts and resumes, and a frame that was streamed but never
recorded (the process died in the middle of a step) leaves no gap that a reader would wait for. The stream of a
session puts the number of the turn, counted from 1, before it: `<turn>.<version>.<n>`.
"""

from __future__ import annotations

from typing import NamedTuple

from stack.errors import Invalid


class StreamPosition(NamedTuple):
    version: int
    number: int

    def __str__(self) -> str:
        return f"{self.version}.{self.number}"


class SessionPosition(NamedTuple):
    turn: int
    version: int
    number: int

    def __str__(self) -> str:
        return f"{self.turn}.{self.version}.{self.number}"

    @property
    def in_turn(self) -> StreamPosition:
        return StreamPosition(self.version, self.number)


BEGINNING = StreamPosition(0, 0)
SESSION_BEGINNING = SessionPosition(0, 0, 0)


def parse(text: str | None) -> StreamPosition:
    """Returns the position that a `Last-Event-ID` names; None means the beginning. Raises Invalid."""
    if not text:
        return BEGINNING
    numbers = _numbers(text)
    if len(numbers) != 2:
        raise Invalid(f"Last-Event-ID is {text[:40]!r}; it must be the id of a frame, like 3.17.")
    return StreamPosition(*numbers)


def parse_session(text: str | None, name: str = "Last-Event-ID") -> SessionPosition:
    """Returns the position that the parameter `name` has; None means the beginning. Raises Invalid."""
    if not text:
        return SESSION_BEGINNING
    numbers = _numbers(text)
    if len(numbers) != 3:
        raise Invalid(
            f"{name} is {text[:40]!r}; it must be the id of a frame in its session, <turn>.<id in the turn>, like 2.3.17."
        )
    return SessionPosition(*numbers)


def _numbers(text: str) -> list[int]:
    """Returns the numbers of an id; none if it is malformed."""
    parts = text.split(".") if len(text) <= 40 else []
    return [int(part) for part in parts] if all(part.isascii() and part.isdigit() for part in parts) else []
