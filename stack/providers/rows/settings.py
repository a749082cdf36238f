"""How much one source of rows may hold, and what reading it may cost."""

from __future__ import annotations

from msgspec import Struct


class ReadLimits(Struct, frozen=True, kw_only=True):
    """`max_bytes` is of the content behind a URI, packed and unpacked, and of its rows as text; `max_fetch_bytes` of
    what is fetched over the network and held in memory. `max_columns` is of CSV, which names each in every row.
    `cpu_s`, `wait_s` and `memory_bytes` are of the process that parses; the time in which no one asks for its rows
    does not count. Content of a few MiB gets less than `cpu_s`: see `process_limits`.
    """

    max_bytes: int = 2**30
    max_fetch_bytes: int = 256 * 2**20
    max_rows: int = 10_000_000
    max_row_bytes: int = 32 * 2**20
    max_columns: int = 100_000
    cpu_s: int = 300
    wait_s: float = 300.0
    fetch_s: float = 120.0
    memory_bytes: int = 4 * 2**30
