"""Limits on the size of one source of rows, and on the resources for reading it."""

from __future__ import annotations

from msgspec import Struct


class ReadLimits(Struct, frozen=True, kw_only=True):
    """`max_bytes` limits the content of a URI, both compressed and decompressed, and its rows as text;
    `max_fetch_bytes` limits what is fetched over the network and held in memory. `max_columns` limits CSV,
    where each row repeats all names. `cpu_s`, `wait_s` and `memory_bytes` limit the process that parses; time
    in which its rows are not requested does not count. Content of a few MiB gets less than `cpu_s`
    and `memory_bytes`: see `process`.
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
