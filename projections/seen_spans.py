"""Which spans have been seen: a filter that knows nearly every new one as new, so that only a few have to be looked up.

Senders repeat a request whose answer they did not get. Looking up each span among 2 million takes 10 ms a batch at
least; the filter takes 1 us a span and 4 bytes of memory for each.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

SPANS = 2**20
BITS = 2**25
PROBES = 8
"""32 bits a span and 8 probes: 6 of a million new spans are taken for seen ones, and looked up."""


# Odd, so that nothing is lost by multiplying.
_MIX = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)


class _Part(Struct):
    """Of up to `SPANS` spans. `last` is the greatest number among them."""

    bits: Any
    spans: int
    last: int


class SeenSpans:
    """Hashes of 64 bits stand for spans. One thread."""

    def __init__(self) -> None:
        self._parts: list[_Part] = []

    def suspects(self, hashes: Any) -> list[int]:
        """Rows that may be seen already, or that may be there twice; in order. `hashes` is an array of uint64."""
        import numpy as np

        suspect = np.zeros(len(hashes), dtype=bool)
        unique, counts = np.unique(hashes, return_counts=True)
        if len(unique) < len(hashes):
            suspect |= np.isin(hashes, unique[counts > 1])
        for part in self._parts:
            rows = np.arange(len(hashes))
            for probe in range(PROBES):
                byte, bit = _place(hashes[rows], probe)
                # Most are out after two probes.
                rows = rows[(part.bits[byte] & bit) != 0]
                if not len(rows):
                    break
            suspect[rows] = True
        found: list[int] = np.flatnonzero(suspect).tolist()
        return found

    def add(self, hashes: Any, last: int) -> None:
        """`last` is the greatest number of the spans."""
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
        """Forgets spans whose numbers are smaller, or most of them."""
        self._parts = [part for part in self._parts if part.last >= number]


def hashes_of(traces: Any, spans: Any) -> Any:
    """What stands for spans: an array of uint64. `traces` is one of (high, low) rows, `spans` one of numbers, all
    uint64."""
    import numpy as np

    mixed = traces[:, 0] * np.uint64(_MIX[0]) ^ traces[:, 1] * np.uint64(_MIX[1]) ^ spans * np.uint64(_MIX[2])
    return mixed ^ (mixed >> np.uint64(29))


def _place(hashes: Any, probe: int) -> tuple[Any, Any]:
    """Byte and bit of a probe: two halves of the hash, of which the second is the step."""
    import numpy as np

    step = (hashes >> np.uint64(32)) | np.uint64(1)
    place = (hashes + np.uint64(probe) * step) % np.uint64(BITS)
    return (place >> np.uint64(3)).astype(np.int64), (1 << (place & np.uint64(7))).astype(np.uint8)
