"""Events of `erasure/files`: when the content of deleted things had left every file of the data folder."""

from __future__ import annotations

from schemas.events.base import Event


class ErasureCompleted(Event, frozen=True, tag="erasure.completed.1"):
    """The content of all deletions up to position `until` is gone. `spans` counts the spans from which captured
    messages were removed, by the id of what was deleted; ids without any are absent. `removed` names what was
    removed whole, because no one can say whose content it held: copies set aside, damaged bytes, tables kept."""

    until: int
    spans: dict[str, int] = {}
    removed: list[str] = []


EVENTS = (ErasureCompleted,)
