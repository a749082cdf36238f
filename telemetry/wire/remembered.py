"""A bounded cache of values computed from keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

Key = TypeVar("Key")
Made = TypeVar("Made")

_OVERHEAD_BYTES = 300
_LARGEST = 256


class Remembered(dict[Key, Made], Generic[Key, Made]):
    """Maps keys to computed values. It is cleared when the keys and values exceed `max_bytes`; a key larger
    than 1/256 of `max_bytes` is not cached."""

    def __init__(self, make: Callable[[Key], Made], size_of: Callable[[Key], int], max_bytes: int) -> None:
        super().__init__()
        self._make = make
        self._size_of = size_of
        self._max_bytes = max_bytes
        self._bytes = 0

    def __missing__(self, key: Key) -> Made:
        made = self._make(key)
        size = self._size_of(key) + _OVERHEAD_BYTES
        if size * _LARGEST <= self._max_bytes:
            self._bytes += size
            if self._bytes > self._max_bytes:
                self.clear()
                self._bytes = size
            self[key] = made
        return made
