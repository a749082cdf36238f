"""The protocol of a log of events that can be followed into views. The event log implements it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

# The content of a record that is not what was recorded: it has no JSON, and no follower can apply it.
DAMAGED = b"\xff damaged"


class Record(NamedTuple):
    """One recorded event.

    `position` is unique and rises by one; `recorded_at` is microseconds since 1970 UTC and rises strictly
    with `position`; `state` is the JSON object of the payload (`{"event": "redacted"}` once redacted).
    """

    position: int
    stream: str
    version: int
    name: str
    recorded_at: int
    state: bytes


def unversioned(name: str) -> str:
    """The name of an event without its schema version: `order.placed` of `order.placed.1`. Read models go by these
    names: every record of a feed has its event's present version, whichever that is."""
    return name.rpartition(".")[0]


class Feed(Protocol):
    @property
    def epoch(self) -> str:
        """The id of this copy of the log, made when it was created. Another id: the view is rebuilt."""
        ...

    def head(self) -> int:
        """The last committed position, 0 when empty. Cheap: no I/O."""
        ...

    def read(self, after: int, limit: int) -> Sequence[Record]:
        """The records behind `after` in order, at most `limit`, oldest versions upcast. Fewer where they are large,
        none only at the end. Blocks; any thread."""
        ...

    def subscribe(self, wake: Callable[[int], None]) -> Callable[[], None]:
        """Calls `wake(head)` after each commit, from any thread; returns a function that ends it."""
        ...
