"""A session's record, read like the event store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stack.eventstore import Recorded


class RecordedStreams:
    """Implements `StreamReader` for the streams of a record. `until` hides events from that position on."""

    def __init__(self, streams: Mapping[str, Sequence[Recorded]]) -> None:
        self._streams = streams
        self.until: int | None = None

    async def read_stream(
        self,
        stream: str,
        after_version: int = 0,
        until_version: int | None = None,
        *,
        takes_damaged: bool = False,
    ) -> list[Recorded]:
        return [
            one
            for one in self._visible(stream)
            if one.version > after_version and (until_version is None or one.version <= until_version)
        ]

    async def read_streams(self, streams: Sequence[str]) -> dict[str, list[Recorded]]:
        return {stream: self._visible(stream) for stream in streams}

    def _visible(self, stream: str) -> list[Recorded]:
        found = self._streams.get(stream, ())
        if self.until is None:
            return list(found)
        return [one for one in found if one.position < self.until]
