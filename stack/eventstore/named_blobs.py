"""Blobs that events name themselves: content that was put before the append, and is never a string of the JSON.

In addition to the markers for long strings (`blob_markers.py`), which the mapper makes by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.events.base import Event
from schemas.events.dataset import DatasetRegistered, DatasetRowsAppended


def named_blobs(event: Event) -> Sequence[str]:
    """The digests of the blobs that the event names."""
    if isinstance(event, DatasetRegistered | DatasetRowsAppended):
        return [chunk.blob for chunk in event.chunks if chunk.blob]
    return ()
