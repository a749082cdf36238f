"""One append on its way through the writer, and the delivery of its outcome to its caller."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import NamedTuple

from stack.errors import VersionConflict
from stack.eventstore.appends import Append, Appended

Outcome = Appended | Exception

WOKEN_AT_ONCE = 4


class NewRow(NamedTuple):
    """An event without its position and time, which the writer assigns."""

    stream: str
    version: int
    name: str
    state: bytes


class Conflict(NamedTuple):
    """An outcome: `stream` was not at the version `expected`."""

    stream: str
    expected: int


class VersionTaken(Exception):
    """An outcome: rows without expected versions collide with rows of the log, or with each other."""


class Submission:
    """`expected` are the versions that must hold; None for rows whose versions only need to be free. `blobs`
    are pairs of a row's index and a digest. `size` is in bytes."""

    __slots__ = (
        "append",
        "blobs",
        "command",
        "expected",
        "future",
        "loop",
        "outcome",
        "redact",
        "rows",
        "size",
    )

    def __init__(
        self,
        rows: list[NewRow],
        expected: Sequence[tuple[str, int]] | None,
        append: Append | None = None,
    ) -> None:
        self.rows = rows
        self.expected = expected
        self.append = append
        self.command = append.command if append else ""
        self.redact = append.redact if append else ()
        self.blobs: list[tuple[int, str]] = []
        self.size = sum([len(row.state) for row in rows])
        self.loop: asyncio.AbstractEventLoop | None = None
        self.future: asyncio.Future[Appended] | Future[Appended] | None = None
        self.outcome: Outcome | Conflict | None = None


def deliver(submissions: Iterable[Submission]) -> None:
    """Delivers outcomes with one wake-up per event loop, not one per append (a wake-up writes to a pipe)."""
    loops: dict[asyncio.AbstractEventLoop, list[Submission]] = {}
    for submission in submissions:
        if submission.loop is None:
            _resolve(submission)
        else:
            loops.setdefault(submission.loop, []).append(submission)
    for loop, waiting in loops.items():
        try:
            loop.call_soon_threadsafe(_resolve_some, loop, waiting)
        except RuntimeError:  # the loop is closed: no caller is waiting
            continue


def _resolve_some(loop: asyncio.AbstractEventLoop, submissions: Sequence[Submission]) -> None:
    """Resolves a few at a time, so that a large group commit does not block the loop (measured with 30
    clients: loop lag p99 16-26 ms if all are resolved at once, 7-8 ms with 4)."""
    for submission in submissions[:WOKEN_AT_ONCE]:
        _resolve(submission)
    if len(submissions) > WOKEN_AT_ONCE:
        loop.call_soon(_resolve_some, loop, submissions[WOKEN_AT_ONCE:])


def _resolve(submission: Submission) -> None:
    future, outcome = submission.future, submission.outcome
    if future is None or future.done():
        return
    if isinstance(outcome, Appended):
        future.set_result(outcome)
    elif isinstance(outcome, Conflict):
        future.set_exception(VersionConflict(outcome.stream, outcome.expected))
    elif isinstance(outcome, Exception):
        future.set_exception(outcome)
