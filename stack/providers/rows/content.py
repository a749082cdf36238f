"""The content of an open descriptor, as a stream from its start: plain or gzip, with limits on its size."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from stack.errors import Invalid, TooLarge
from stack.providers.rows.settings import ReadLimits

_BUFFER_BYTES = 2**18
_GZIP = b"\x1f\x8b"


class Content:
    """`shown` names it in messages. The file must not change while it is read: see `check_unchanged`."""

    def __init__(self, fd: int, shown: str, limits: ReadLimits) -> None:
        self.fd = fd
        self.shown = shown
        self.limits = limits
        self._state = _state(fd)
        if self.size > limits.max_bytes:
            raise self._too_large()
        self.is_packed = os.pread(fd, 2, 0) == _GZIP

    @property
    def size(self) -> int:
        return self._state[0]

    def open(self) -> BinaryIO:
        """Returns a new stream from the start, decompressed. Reading it raises Invalid for damaged data,
        TooLarge."""
        source: io.RawIOBase = _Plain(self.fd)
        if self.is_packed:
            source = _Unpacked(io.BufferedReader(_Plain(self.fd), _BUFFER_BYTES), self.shown)
        return cast(BinaryIO, io.BufferedReader(_Bounded(source, self), _BUFFER_BYTES))

    def head(self, count: int) -> bytes:
        """Returns at most the first `count` bytes."""
        with self.open() as stream:
            return stream.read(count)

    def whole(self) -> bytes:
        with self.open() as stream:
            return stream.read()

    def lines(self) -> Iterator[bytes]:
        """Yields its lines with their ends, without a byte order mark. Raises TooLarge for a line that is
        longer than the limit of a row."""
        limit = self.limits.max_row_bytes
        with self.open() as stream:
            line = stream.readline(limit + 1).removeprefix(b"\xef\xbb\xbf")
            number = 1
            while line:
                if len(line) > limit:
                    raise TooLarge(f"{self.shown}: line {number} has more than {limit} bytes; no row may.")
                yield line
                number += 1
                line = stream.readline(limit + 1)

    def check_unchanged(self) -> None:
        """Raises Invalid if the file was changed while it was read: the content may be a mixture."""
        if _state(self.fd) != self._state:
            raise Invalid(f"{self.shown} was changed while it was read. Try again when it is complete.")

    def _too_large(self) -> TooLarge:
        unpacked = "" if self.size > self.limits.max_bytes else " when unpacked"
        return TooLarge(
            f"{self.shown} has more than {self.limits.max_bytes} bytes{unpacked} (setting max_dataset_bytes)."
        )


class _Plain(io.RawIOBase):
    """Reads at its own offset: streams of one descriptor do not affect each other."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._offset = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = os.preadv(self._fd, [buffer], self._offset)
        self._offset += count
        return count


class _Unpacked(io.RawIOBase):
    def __init__(self, packed: io.BufferedReader, shown: str) -> None:
        self._file = gzip.GzipFile(fileobj=packed)
        self._shown = shown

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            return self._file.readinto(buffer)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise Invalid(f"{self._shown} is damaged gzip data: {error}.") from None


class _Bounded(io.RawIOBase):
    def __init__(self, inner: io.RawIOBase, content: Content) -> None:
        self._inner = inner
        self._content = content
        self._left = content.limits.max_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._inner.readinto(buffer) or 0
        self._left -= count
        if self._left < 0:
            raise self._content._too_large()
        return count


def _state(fd: int) -> tuple[int, int]:
    state = os.fstat(fd)
    return state.st_size, state.st_mtime_ns
