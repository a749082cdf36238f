"""The position of the log for which a question about the past is answered."""

from __future__ import annotations

import asyncio
import re
import time

from msgspec import Struct

from projections.warehouse.reader import rfc3339
from stack.errors import Invalid
from stack.eventstore import EventStore
from telemetry.query.moment import Moment, moment

_POSITION = re.compile(r"[0-9]{1,40}")
# In a query a `+` is a space.
_OFFSET = re.compile(r" ([0-9]{2}:?[0-9]{2})$")


NEWEST_NS = 2**63 - 1
"""Later than everything that has happened."""


class PastMoment(Struct, frozen=True):
    """`until_ns` is the time, in ns since 1970, of what was not recorded in the log, such as telemetry: of a position that is
    until the next one was recorded."""

    position: int
    until_ns: int


class Positions:
    def __init__(self, store: EventStore) -> None:
        self._store = store

    async def moment(self, text: str) -> PastMoment:
        """Returns the moment that `as_of` names. Raises the errors of `of`."""
        position = await self.of(text)
        if _POSITION.fullmatch(text):
            return PastMoment(position, await self._until_ns(position))
        instant = _instant(text)
        assert instant is not None
        return PastMoment(position, instant.ns)

    async def _until_ns(self, position: int) -> int:
        following = await asyncio.to_thread(self._store.feed.read, position, 1)
        return following[0].recorded_at * 1_000 - 1 if following else NEWEST_NS

    async def of(self, text: str) -> int:
        """Returns the position that `as_of` names: itself, or the last one that was recorded at or before a time (RFC 3339);
        0 before the first. Raises Invalid for anything else, and for the future."""
        if _POSITION.fullmatch(text):
            position = int(text)
            if position > self._store.head():
                raise Invalid(f"as_of is {text}, which the log has not reached. {await self._newest()}")
            return position
        instant = _instant(text)
        if instant is None:
            raise Invalid(
                f"as_of is {text[:80]!r}; it must be a position of the log (a whole number, 0 or more) or an RFC 3339 time "
                "with its offset, as in 2026-01-31T12:00:00Z."
            )
        # The clock may have been ahead of what it is now when events were recorded.
        time_us = instant.ns // 1_000
        if time_us > time.time_ns() // 1_000 and time_us > await self._newest_us():
            raise Invalid(f"as_of is {text[:80]}, which is in the future. {await self._newest()}")
        return await self._store.position_at(time_us)

    async def _newest(self) -> str:
        head = self._store.head()
        if not head:
            return "The log is empty: leave as_of out."
        at = rfc3339(await self._newest_us())
        return f"The newest position is {head}, recorded at {at}: name that or an earlier one, or leave as_of out."

    async def _newest_us(self) -> int:
        """Returns when the newest event was recorded, in microseconds since 1970; 0 in an empty log."""
        newest = await asyncio.to_thread(self._store.feed.read, max(0, self._store.head() - 1), 1)
        return newest[-1].recorded_at if newest else 0


def _instant(text: str) -> Moment | None:
    return moment(_OFFSET.sub(r"+\1", text))
