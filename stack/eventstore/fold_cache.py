"""A cache of folded states of the streams in use, so that an active stream is never read again."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, NamedTuple, TypeVar

from stack.eventstore.appends import Fold, Folded, StreamWrite
from stack.eventstore.streams import category_of

_log = logging.getLogger(__name__)

S = TypeVar("S")

# The size of a state is counted as the JSON of its events, plus this for the objects around it.
_ENTRY_BYTES = 512


class _Entry(NamedTuple):
    fold: Fold[Any]
    folded: Folded[Any]
    size: int


class Loading:
    """A running read. `stale` is set if the stream is written in the meantime."""

    __slots__ = ("stale",)

    def __init__(self) -> None:
        self.stale = False


class FoldCache:
    """A least-recently-used cache of at most about `max_bytes`. States are immutable and replaced as a whole,
    so a reader never sees a partial change. Thread-safe. With cachetools a look-up takes 0.5 us longer and an
    append 1.5 us."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0
        self._loading: dict[str, list[Loading]] = {}
        self._folds: dict[str, Fold[Any]] = {}

    def get(self, stream: str, fold: Fold[S]) -> Folded[S] | None:
        with self._lock:
            entry = self._entries.get(stream)
            if entry is None or (entry.fold is not fold and entry.fold != fold):
                return None
            self._entries.move_to_end(stream)
            return entry.folded

    @contextmanager
    def loading(self, stream: str) -> Iterator[Loading]:
        """Surrounds a read: its result is only kept if nothing was written in the meantime."""
        loading = Loading()
        with self._lock:
            self._loading.setdefault(stream, []).append(loading)
        try:
            yield loading
        finally:
            with self._lock:
                others = self._loading[stream]
                others.remove(loading)
                if not others:
                    del self._loading[stream]

    def put(self, stream: str, fold: Fold[S], folded: Folded[S], size: int, loading: Loading) -> None:
        with self._lock:
            self._folds[category_of(stream)] = fold
            if not loading.stale:
                self._keep(stream, _Entry(fold, folded, size + _ENTRY_BYTES))

    def forward(self, write: StreamWrite, recorded_at: Sequence[int], size: int) -> None:
        """Applies a committed write. A new stream is folded like others of its category."""
        stream, version, events = write
        category = category_of(stream)
        # Most written streams were never loaded: 0.2 us instead of 1.3 us. A read that starts after this
        # check includes the write.
        if stream not in self._entries and stream not in self._loading and category not in self._folds:
            return
        with self._lock:
            self._outdate(stream)
            entry = self._entries.get(stream)
            if entry is None and version == 0 and (fold := self._folds.get(category)) is not None:
                entry = _Entry(fold, Folded(fold.initial, 0), _ENTRY_BYTES)
        if entry is None:
            return
        if entry.folded.version != version:
            self.forget(stream)
            return
        state, evolve = entry.folded.state, entry.fold.evolve
        if entry.fold.last_only:
            size = 0  # such a state does not depend on earlier events
        try:
            for event, at in zip(events, recorded_at, strict=True):
                version += 1
                state = evolve(state, event, event.occurred_at or at, version)
        except Exception:
            _log.exception("folding %s failed", stream)
            self.forget(stream)
            return
        with self._lock:
            self._keep(stream, _Entry(entry.fold, Folded(state, version), entry.size + size))

    def forget(self, stream: str) -> None:
        with self._lock:
            self._outdate(stream)
            entry = self._entries.pop(stream, None)
            if entry is not None:
                self._bytes -= entry.size

    def clear(self) -> None:
        with self._lock:
            for stream in self._loading:
                self._outdate(stream)
            self._entries.clear()
            self._bytes = 0

    def _outdate(self, stream: str) -> None:
        for loading in self._loading.get(stream, ()):
            loading.stale = True

    def _keep(self, stream: str, entry: _Entry) -> None:
        replaced = self._entries.pop(stream, None)
        if replaced is not None:
            self._bytes -= replaced.size
        self._entries[stream] = entry
        self._bytes += entry.size
        while self._bytes > self._max_bytes and self._entries:
            self._bytes -= self._entries.popitem(last=False)[1].size
