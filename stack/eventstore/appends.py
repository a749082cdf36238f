"""What goes into the log and what comes out of it, as the rest of the application sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from msgspec import Struct

from schemas.events.base import Event

S = TypeVar("S")


class StreamWrite(NamedTuple):
    """Events to add to one stream. `expected_version` is the version of its last event, 0 where it must not
    exist yet; the first event of a stream gets version 1."""

    stream: str
    expected_version: int
    events: Sequence[Event]


class Expect(NamedTuple):
    """A precondition on a stream that is read but not written."""

    stream: str
    version: int


class Append(Struct, frozen=True):
    """One command's effect: all of it is recorded, or none.

    A `command` id is recorded once: an append whose id the log already has raises CommandKnown. The content of all *earlier* events of the
    streams in `redact` is physically removed in the same transaction.
    """

    writes: tuple[StreamWrite, ...]
    expects: tuple[Expect, ...] = ()
    command: str = ""
    redact: tuple[str, ...] = ()


class Appended(NamedTuple):
    """Positions `first` to `last` are the events in the order given, recorded at `recorded_at` (microseconds
    since 1970)."""

    first: int
    last: int
    recorded_at: tuple[int, ...]


class CommandKnown(Exception):
    """The log already has the command of an append, so nothing was written. `appended` is what was recorded under
    that command: the events of another append, not of this one."""

    def __init__(self, command: str, appended: Appended) -> None:
        super().__init__(f"command {command!r} is recorded at positions {appended.first} to {appended.last}")
        self.command = command
        self.appended = appended


class Recorded(NamedTuple):
    """An event of one stream. `recorded_at` is microseconds since 1970."""

    position: int
    version: int
    recorded_at: int
    event: Event


class Command(NamedTuple):
    """A recorded command: where its events begin, when it was recorded and the streams that it wrote."""

    command: str
    first_position: int
    recorded_at: int
    streams: tuple[str, ...]


@dataclass(frozen=True)
class Fold(Generic[S]):
    """How events become a state: `evolve(state, event, recorded_at, version)`, pure, from `initial`.

    `initial` and every state must be immutable: they are cached and shared. With `last_only` the last event of a
    stream says all there is to know, and no other is read: for streams that may be long and large. With `takes_damaged`,
    `Damaged` stands for an event that cannot be read, and all others are read too; without it the stream cannot be loaded.
    """

    initial: S
    evolve: Callable[[S, Event, int, int], S]
    last_only: bool = False
    takes_damaged: bool = False


class Folded(NamedTuple, Generic[S]):
    """A stream's state after its event number `version` (0: the stream does not exist)."""

    state: S
    version: int
