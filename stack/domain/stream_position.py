"""The position of a reader in a turn's stream: the id of a frame.

An id is `<version>.<n>`: the version of the event (in the turn's stream) that the frame belongs to, and the
frame's number within it. Ids increase across restarts and resumes, and a frame that was streamed but never
recorded (the process died in the middle of a step) leaves no gap that a reader would wait for.
"""

from __future__ import annotations

from typing import NamedTuple

from stack.errors import Invalid


class StreamPosition(NamedTuple):
    version: int
    number: int

    def __str__(self) -> str:
        return f"{self.version}.{self.number}"


BEGINNING = StreamPosition(0, 0)


def parse(text: str | None) -> StreamPosition:
    """Returns the position that a `Last-Event-ID` names; None means the beginning. Raises Invalid."""
    if not text:
        return BEGINNING
    version, _, number = text.partition(".")
    if len(text) > 40 or not (
        version.isascii() and version.isdigit() and number.isascii() and number.isdigit()
    ):
        raise Invalid(f"Last-Event-ID is {text[:40]!r}; it must be the id of a frame, like 3.17.")
    return StreamPosition(int(version), int(number))
