"""How long records are collected before they are applied together, if no reader waits for them."""

from __future__ import annotations

# A transaction takes about 5 ms of CPU, for one record or a hundred. Under steady load records are collected
# for this multiple of the duration of the last transaction, up to the maximum.
_TRANSACTIONS = 10


class Linger:
    """A transaction is due `linger_s` after the first pending record. The time is between `min_ms` and
    `max_ms`."""

    def __init__(self, min_ms: float, max_ms: float) -> None:
        self._min_s = self.linger_s = min_ms / 1000
        self._max_s = max(min_ms, max_ms) / 1000

    def applied(self, records: int, took_s: float) -> None:
        """Adapts to a transaction. One with a single record does not count as load."""
        wanted_s = took_s * _TRANSACTIONS if records > 1 else self._min_s
        self.linger_s = min(max(wanted_s, self._min_s), self._max_s)
