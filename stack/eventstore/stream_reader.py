"""The protocol of reading streams: the event store implements it, and so does a recorded session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from stack.eventstore.appends import Recorded


class StreamReader(Protocol):
    async def read_stream(
        self,
        stream: str,
        after_version: int = 0,
        until_version: int | None = None,
        *,
        takes_damaged: bool = False,
    ) -> list[Recorded]:
        """See `EventStore.read_stream`."""
        ...

    async def read_streams(self, streams: Sequence[str]) -> dict[str, list[Recorded]]:
        """See `EventStore.read_streams`."""
        ...
