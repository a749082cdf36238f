"""The protocol of a log of events that can be followed into views. The event log implements it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

# The content of a damaged record: it is not JSON, and no follower can apply it.
DAMAGED = b"\xff damaged"


class Record(NamedTuple):
    """One recorded event.

    `position` is unique and increases by one; `recorded_at` is microseconds since 1970 UTC and strictly
    increases with `position`; `state` is the JSON object of the payload (`{"event": "redacted"}` once
    redacted).
    """

    position: int
    stream: str
    version: int
    name: str
    recorded_at: int
    state: bytes


def unversioned(name: str) -> str:
    """Returns the name of an event without its schema version: `order.placed` for `order.placed.1`. Read
    models use these names: every record of a feed has its event's current version."""
    return name.rpartition(".")[0]


class Feed(Protocol):
    @property
    def epoch(self) -> str:
        """The id of this copy of the log, assigned when it was created. If it differs, the view is
        rebuilt."""
        ...

    def head(self) -> int:
        """Returns the last committed position, 0 if empty. Cheap: no I/O."""
        ...

    def read(self, after: int, limit: int) -> Sequence[Record]:
        """Returns the records after `after` in order, at most `limit`, older versions upcast. Fewer are
        returned if they are large, none only at the end. Blocks; thread-safe."""
        ...

    def subscribe(self, wake: Callable[[int], None]) -> Callable[[], None]:
        """Calls `wake(head)` after each commit, from any thread; returns a function that ends this."""
        ...
