"""A filter of the spans that have been seen. It recognises nearly every new span as new, so that few are
looked up.

Senders repeat a request if they did not receive the response. Looking up each span among 2 million takes at
least 10 ms per batch; the filter takes 1 us per span and 4 bytes of memory for each.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

SPANS = 2**20
BITS = 2**25
PROBES = 8
"""With 32 bits per span and 8 probes, 6 of a million new spans are mistaken for seen ones, and looked up."""


# Odd, so that the multiplication loses no bits.
_MIX = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)


class _Part(Struct):
    """A filter of up to `SPANS` spans. `last` is the greatest number among them."""

    bits: Any
    spans: int
    last: int


class SeenSpans:
    """A set of spans, represented by 64-bit hashes. Not thread-safe."""

    def __init__(self) -> None:
        self._parts: list[_Part] = []

    def suspects(self, hashes: Any) -> list[int]:
        """Returns the rows, in order, that may have been seen or may be duplicates. `hashes` is an array of
        uint64."""
        import numpy as np

        suspect = np.zeros(len(hashes), dtype=bool)
        unique, counts = np.unique(hashes, return_counts=True)
        if len(unique) < len(hashes):
            suspect |= np.isin(hashes, unique[counts > 1])
        for part in self._parts:
            rows = np.arange(len(hashes))
            for probe in range(PROBES):
                byte, bit = _place(hashes[rows], probe)
                # Most rows are eliminated after two probes.
                rows = rows[(part.bits[byte] & bit) != 0]
                if not len(rows):
                    break
            suspect[rows] = True
        found: list[int] = np.flatnonzero(suspect).tolist()
        return found

    def add(self, hashes: Any, last: int) -> None:
        """Adds spans. `last` is the greatest number of the spans."""
        import numpy as np

        while len(hashes):
            if not self._parts or self._parts[-1].spans >= SPANS:
                self._parts.append(_Part(np.zeros(BITS // 8, dtype=np.uint8), 0, last))
            part = self._parts[-1]
            now, hashes = np.split(hashes, [SPANS - part.spans])
            for probe in range(PROBES):
                byte, bit = _place(now, probe)
                np.bitwise_or.at(part.bits, byte, bit)
            part.spans += len(now)
            part.last = max(part.last, last)

    def drop_before(self, number: int) -> None:
        """Removes most or all spans with smaller numbers."""
        self._parts = [part for part in self._parts if part.last >= number]


def hashes_of(traces: Any, spans: Any) -> Any:
    """Returns the hashes of spans: an array of uint64. `traces` is an array of (high, low) rows, `spans` one
    of numbers, both uint64."""
    import numpy as np

    mixed = traces[:, 0] * np.uint64(_MIX[0]) ^ traces[:, 1] * np.uint64(_MIX[1]) ^ spans * np.uint64(_MIX[2])
    return mixed ^ (mixed >> np.uint64(29))


def _place(hashes: Any, probe: int) -> tuple[Any, Any]:
    """Returns byte and bit of a probe, from the two halves of the hash; the second one is the step."""
    import numpy as np

    step = (hashes >> np.uint64(32)) | np.uint64(1)
    place = (hashes + np.uint64(probe) * step) % np.uint64(BITS)
    return (place >> np.uint64(3)).astype(np.int64), (1 << (place & np.uint64(7))).astype(np.uint8)
