"""A million rows over Arrow Flight SQL, read by ADBC, and the same query in this process, as Arrow from DuckDB."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import adbc_driver_flightsql.dbapi as flight_sql
import duckdb

from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds
from benchmarks.servers import replaystack
from tests.server.process import free_port

ROWS = 1_000_000
BAR = 1.3
START_S = 30.0
QUERY = (
    "SELECT i AS number, i * 0.25 AS duration_ms, 'name ' || (i % 1000) AS name, md5(i::VARCHAR) AS trace_id, "
    "TIMESTAMP '2026-01-01' + to_milliseconds(i) AS started_at FROM range({rows}) AS r(i)"
)


def run(quick: bool) -> list[Result]:
    """The three take turns, so that noise of the machine meets all of them."""
    port, rows = free_port(), ROWS // 4 if quick else ROWS
    environment = {
        "REPLAYSTACK_FLIGHT_PORT": str(port),
        "REPLAYSTACK_SQL_MAX_ROWS": str(rows),
        "REPLAYSTACK_SQL_MAX_BYTES": str(2**30),
        # New telemetry would need a new snapshot, which other benchmarks measure.
        "REPLAYSTACK_OWN_TELEMETRY": "false",
    }
    query = QUERY.format(rows=rows)
    took: dict[str, list[float]] = {"flight": [], "one": [], "all": []}
    with (
        TemporaryDirectory() as folder,
        replaystack(Path(folder) / "data", environment=environment),
        _connected(port) as connection,
        duckdb.connect() as every,
        duckdb.connect() as single,
    ):
        # The worker of a query has one thread.
        single.execute("SET threads = 1")
        reads: dict[str, Callable[[], int]] = {
            "flight": lambda: _over_flight(connection, query),
            "one": lambda: single.sql(query).to_arrow_table().num_rows,
            "all": lambda: every.sql(query).to_arrow_table().num_rows,
        }
        for number in range(4 if quick else 8):
            for name, read in reads.items():
                began = time.perf_counter()
                assert read() == rows
                if number:
                    took[name].append((time.perf_counter() - began) * 1e3)
    ratios = [one / own for one, own in zip(took["flight"], took["one"], strict=True)]
    size = f"{rows // 1000:,}k rows"
    return [
        of_rounds(
            f"{size} over Flight, compared with DuckDB in the process with one thread", ratios, "x", BAR
        ),
        of_rounds(f"{size} over Flight", took["flight"], "ms"),
        of_rounds(f"{size} from DuckDB in the process, one thread", took["one"], "ms"),
        of_rounds(f"{size} from DuckDB in the process, all threads", took["all"], "ms"),
    ]


def _connected(port: int) -> flight_sql.Connection:
    until = time.monotonic() + START_S
    while True:
        connection = flight_sql.connect(f"grpc://127.0.0.1:{port}", autocommit=True)
        try:
            _over_flight(connection, "SELECT 1")
            return connection
        except flight_sql.Error:
            connection.close()
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def _over_flight(connection: flight_sql.Connection, query: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return int(cursor.fetch_arrow_table().num_rows)


if __name__ == "__main__":
    standalone(run, "flight", __doc__)
