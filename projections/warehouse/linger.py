"""How long records that no one waits for may gather before they are applied together."""

from __future__ import annotations

# A transaction costs about 5 ms of CPU, whether it holds one record or a hundred. Under steady load records gather for
# this many times the length of the last one, up to the maximum.
_TRANSACTIONS = 10


class Linger:
    """`linger_s` after the first pending record a transaction is due. Between `min_ms` and `max_ms`."""

    def __init__(self, min_ms: float, max_ms: float) -> None:
        self._min_s = self.linger_s = min_ms / 1000
        self._max_s = max(min_ms, max_ms) / 1000

    def applied(self, records: int, took_s: float) -> None:
        """Learns from a transaction. One that held a single record is no load."""
        wanted_s = took_s * _TRANSACTIONS if records > 1 else self._min_s
        self.linger_s = min(max(wanted_s, self._min_s), self._max_s)
