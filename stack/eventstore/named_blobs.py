"""Blobs that events name explicitly: content that was put before the append, and is never a string of the
JSON.

They exist in addition to the markers for long strings (`blob_markers.py`), which are created automatically.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.events.base import Event
from schemas.events.dataset import DatasetRegistered, DatasetRowsAppended


def named_blobs(event: Event) -> Sequence[str]:
    """Returns the digests of the blobs that the event names."""
    if isinstance(event, DatasetRegistered | DatasetRowsAppended):
        return [chunk.blob for chunk in event.chunks if chunk.blob]
    return ()
