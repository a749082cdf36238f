"""The types with which the application writes to the log and reads from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from msgspec import Struct

from schemas.events.base import Event

S = TypeVar("S")


class StreamWrite(NamedTuple):
    """Events to add to one stream. `expected_version` is the version of its last event, 0 if the stream must
    not exist yet; the first event of a stream has version 1."""

    stream: str
    expected_version: int
    events: Sequence[Event]


class Expect(NamedTuple):
    """A precondition on a stream that is read but not written."""

    stream: str
    version: int


class Append(Struct, frozen=True):
    """The effect of one command: either all of it is recorded, or nothing.

    A `command` id is recorded once: an append whose id is already in the log raises CommandKnown. The content
    of all *earlier* events of the streams in `redact` is physically removed in the same transaction.
    """

    writes: tuple[StreamWrite, ...]
    expects: tuple[Expect, ...] = ()
    command: str = ""
    redact: tuple[str, ...] = ()


class Appended(NamedTuple):
    """Positions `first` to `last` are those of the events in the given order, recorded at `recorded_at`
    (microseconds since 1970)."""

    first: int
    last: int
    recorded_at: tuple[int, ...]


class CommandKnown(Exception):
    """The log already contains the command of an append, so nothing was written. `appended` is what was
    recorded under that command: the events of another append, not of this one."""

    def __init__(self, command: str, appended: Appended) -> None:
        super().__init__(f"command {command!r} is recorded at positions {appended.first} to {appended.last}")
        self.command = command
        self.appended = appended


class Recorded(NamedTuple):
    """An event of one stream. `recorded_at` is microseconds since 1970; for a copied event, the time at which it
    occurred."""

    position: int
    version: int
    recorded_at: int
    event: Event


class Command(NamedTuple):
    """A recorded command: the position of its first event, the time of recording and the streams that it
    wrote."""

    command: str
    first_position: int
    recorded_at: int
    streams: tuple[str, ...]


@dataclass(frozen=True)
class Fold(Generic[S]):
    """How events are folded to a state: `evolve(state, event, recorded_at, version)`, pure, starting from
    `initial`.

    `initial` and every state must be immutable: they are cached and shared. With `last_only` the last event
    of a stream determines the state, and no other is read: for streams that may be long and large. With
    `takes_damaged`, `Damaged` replaces an event that cannot be read, and all others are read too; otherwise
    such a stream cannot be loaded.
    """

    initial: S
    evolve: Callable[[S, Event, int, int], S]
    last_only: bool = False
    takes_damaged: bool = False


class Folded(NamedTuple, Generic[S]):
    """A stream's state after its event number `version` (0: the stream does not exist)."""

    state: S
    version: int
