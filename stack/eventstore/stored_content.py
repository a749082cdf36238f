"""Reads the blobs that events name, and removes those that no event names."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from stack.errors import InternalError, NotFound, ReplaystackError
from stack.eventstore.blob_markers import hydrate
from stack.eventstore.blobs import BlobStore
from stack.eventstore.damage import Damage, damaged_text

_log = logging.getLogger(__name__)


class StoredContent:
    """Blocks; thread-safe. `referenced` returns whether an event names a digest."""

    def __init__(self, blobs: BlobStore, referenced: Callable[[str], bool], damage: Damage) -> None:
        self._blobs = blobs
        self._referenced = referenced
        self._damage = damage

    def blob(self, digest: str) -> bytes:
        """Returns a blob. Raises InternalError if it is missing or damaged, NotFound if it was deleted after
        the event that names it was read, and Unavailable if it cannot be read now."""
        try:
            return self._blobs.get(digest)
        except InternalError:
            if not self._referenced(digest):
                raise NotFound("The content was deleted.") from None
            self._damage.note(f"blob {digest} is missing or damaged")
            raise

    def hydrate(self, state: bytes) -> bytes:
        """Returns an event's JSON with its long strings restored. A missing one is replaced by a text that
        says so: one damaged file must not make the rest of a session unreadable. Raises Unavailable."""
        return hydrate(state, self._text_of)

    def sweep(self, is_closed: Callable[[], bool], *, with_young: bool = False) -> None:
        """Deletes blobs that no event names and that are old enough, or all of them; never one of a running
        append."""
        try:
            for digest in self._blobs.orphans(with_young=with_young):
                if is_closed():
                    return
                self._blobs.remove((digest,), self._referenced)
        except (OSError, ReplaystackError) as error:
            _log.warning("orphaned blobs could not be removed: %s", error)

    def remove_unnamed(self, digests: Sequence[str]) -> None:
        """Deletes those of `digests` that no event names."""
        try:
            self._blobs.remove(digests, self._referenced)
        except (OSError, ReplaystackError) as error:
            _log.warning("content that nothing names could not be removed: %s", error)

    def _text_of(self, digest: str) -> bytes:
        try:
            return self.blob(digest)
        except InternalError:
            return damaged_text(digest).encode()
        except NotFound:
            return b"[Content deleted.]"
