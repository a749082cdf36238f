"""Events of `erasure/files`: when the content of deleted items had been removed from all files of the data
folder."""

from __future__ import annotations

from schemas.events.base import Event


class ErasureCompleted(Event, frozen=True, tag="erasure.completed.1"):
    """The content of all deletions up to position `until` has been removed. `spans` counts the spans from
    which captured messages were removed, by the deleted id; ids without any are absent. `removed` names what
    was removed completely because its owner could not be determined: copies that were set aside, damaged
    bytes, kept tables."""

    until: int
    spans: dict[str, int] = {}
    removed: list[str] = []


EVENTS = (ErasureCompleted,)
