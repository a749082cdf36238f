"""SQL of users: a confined process over files with many steps, and queries to a server that records turns.

Results over HTTP are compared with the same query in this process, turns with those of the same server without queries.
"""

from __future__ import annotations

import asyncio
import http.client
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import msgspec
import nanoarrow

from benchmarks.api import new_agent, new_session, streamed_turn, whole_turn
from benchmarks.client import Connection
from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds, percentile
from benchmarks.servers import Server, model_server, replaystack
from benchmarks.sql_files import EVENTS_PER_TURN, STEPS_PER_TURN, Process, write
from projections.user_views import user_views
from stack.providers.sql.tasks import AsOf, Run

SQL = "/v1alpha/sql"
STEPS, EVENTS, ROWS = 1_000_000, 1_000_000, 1_000_000
QUICK_SHARE = 10
RUNAWAYS = 10
_ENDLESS = "SELECT count(*) FROM range(1000000000000)"
_TOKENS = "SELECT model, sum(input_tokens), sum(output_tokens) FROM token_usage GROUP BY ALL"
_TOKENS_BY_DAY = "SELECT model, day, sum(input_tokens), sum(output_tokens) FROM token_usage GROUP BY ALL"
_LIMITS = {
    "REPLAYSTACK_SQL_MAX_ROWS": "10000000",
    "REPLAYSTACK_SQL_MAX_BYTES": str(2**30),
    "REPLAYSTACK_SQL_TIMEOUT_S": "3",
}


def run(quick: bool) -> list[Result]:
    share = QUICK_SHARE if quick else 1
    rounds = 3 if quick else 9
    with tempfile.TemporaryDirectory() as folder:
        over_files = asyncio.run(_over_files(Path(folder), rounds, share))
        with (
            model_server() as model,
            replaystack(Path(folder) / "data", model.base_url, environment=_LIMITS) as server,
        ):
            return over_files + _over_http(server, rounds, share)


async def _over_files(folder: Path, rounds: int, share: int) -> list[Result]:
    steps, events = STEPS // share, EVENTS // share
    process = Process()
    try:
        write(folder / "steps", steps // STEPS_PER_TURN)
        await process.open(folder / "steps", folder / "of steps")
        sums = [
            of_rounds(f"{name}, {steps:,} steps", await _taken(process, query, rounds), "ms", bar)
            for name, query, bar in (
                ("tokens by model", _TOKENS, 30.0),
                ("tokens by model and day", _TOKENS_BY_DAY, None),
            )
        ]
        turns = events // EVENTS_PER_TURN
        write(folder / "events", turns)
        await process.open(folder / "events", folder / "of events")
        middle = events // 2
        past = [
            of_rounds(
                f"steps of a turn as of a new position, {events:,} events",
                await _taken(
                    process, "SELECT * FROM steps WHERE turn_id = 'turn-77'", rounds, range(middle, events)
                ),
                "ms",
                100.0,
            ),
            await _all_views(process, events),
        ]
        return sums + past
    finally:
        await process.close()


async def _taken(
    process: Process, query: str, rounds: int, positions: Sequence[int] = (), every: int = 3
) -> list[float]:
    """Returns the shortest time of `every` runs of each round, each as of another position if there are any."""
    moments = iter([AsOf(position, 2**63 - 1) for position in positions[: rounds * every + 1]])
    await process.took_ms(_run(query, next(moments, None)))
    return [
        min([await process.took_ms(_run(query, next(moments, None))) for _ in range(every)])
        for _ in range(rounds)
    ]


async def _all_views(process: Process, events: int) -> Result:
    """The rows of each view are counted as of the last position, and as they are."""
    times = []
    for as_of in (None, AsOf(events, 2**63 - 1)):
        queries = [_run(f"SELECT count(*) FROM {name}", as_of) for name in user_views()]
        for query in queries:
            await process.took_ms(query)
        times.append(sum([min([await process.took_ms(query) for _ in range(2)]) for query in queries]))
    return Result(
        f"all views counted as of a position / as they are, {events:,} events", times[1] / times[0], "x"
    )


def _run(query: str, as_of: AsOf | None = None) -> Run:
    return Run(query, [], "json", 1000, 2**20, as_of)


def _over_http(server: Server, rounds: int, share: int) -> list[Result]:
    with Connection(server.port) as connection:
        session = new_session(connection, new_agent(connection))
        least = [_asked(server, {"query": "SELECT 1"}) for _ in range(20 * rounds)]
        results = [of_rounds("SELECT 1, from request to last byte, p50", _medians(least, rounds), "ms", 10.0)]
        writes = [_own_write(server, connection, session, number) for number in range(5 * rounds)]
        results.append(
            of_rounds(
                "a turn's own rows by SQL, after its answer, p50", _medians(writes, rounds), "ms", 150.0
            )
        )
        rows = ROWS // share
        ratios = [_arrow_ratio(server, rows) for _ in range(rounds)]
        results.append(of_rounds(f"{rows:,} rows as Arrow / in this process", ratios, "x", 1.3))
        results.append(_runaways(server, connection, session, rounds, share))
        return results


def _medians(values: Sequence[float], rounds: int) -> list[float]:
    size = len(values) // rounds
    return [statistics.median(values[number * size : (number + 1) * size]) for number in range(rounds)]


def _own_write(server: Server, connection: Connection, session: str, before: int) -> float:
    whole_turn(connection, session)
    query = {
        "query": "SELECT count(*) FROM turns WHERE session_id = $1",
        "parameters": [session.rpartition("/")[2]],
    }
    began = time.perf_counter()
    body = _answer(server, query)
    took_ms = (time.perf_counter() - began) * 1000
    if msgspec.json.decode(body)["rows"] != [[before + 1]]:
        raise RuntimeError(f"The query does not see {before + 1} turns: {body[:300]!r}")
    return took_ms


def _arrow_ratio(server: Server, rows: int) -> float:
    query = f"SELECT range AS id, range * 0.5::DOUBLE AS value, 'row ' || range AS name FROM range({rows})"
    with duckdb.connect(config={"threads": 1}) as database:
        began = time.perf_counter()
        count = sum(len(batch) for batch in nanoarrow.c_array_stream(database.sql(query)))
        own_s = time.perf_counter() - began
    if count != rows:
        raise RuntimeError(f"DuckDB gave {count} rows.")
    return _asked(server, {"query": query, "format": "arrow"}) / 1000 / own_s


def _runaways(server: Server, connection: Connection, session: str, rounds: int, share: int) -> Result:
    """The p99 of turns while ten clients ask for endless queries, which are killed, to that without them."""
    turns = 400 // share
    ratios = []
    for _ in range(max(1, rounds // 3)):
        alone = percentile([streamed_turn(connection, session).whole_ms for _ in range(turns)], 0.99)
        with _asking(server):
            among = percentile([streamed_turn(connection, session).whole_ms for _ in range(turns)], 0.99)
        ratios.append(among / alone)
    return of_rounds(f"turn p99 with {RUNAWAYS} runaway queries / without", ratios, "x", 2.0)


@contextmanager
def _asking(server: Server) -> Iterator[None]:
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            _answer(server, {"query": _ENDLESS}, status=None)

    threads = [threading.Thread(target=ask) for _ in range(RUNAWAYS)]
    for thread in threads:
        thread.start()
    # Until the first ones run.
    time.sleep(1)
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _asked(server: Server, body: Mapping[str, object]) -> float:
    """Returns the time from the request to the last byte, in ms."""
    began = time.perf_counter()
    _answer(server, body)
    return (time.perf_counter() - began) * 1000


def _answer(server: Server, body: Mapping[str, object], status: int | None = 200) -> bytes:
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    try:
        client.request("POST", SQL, msgspec.json.encode(body), {"content-type": "application/json"})
        answer = client.getresponse()
        content = answer.read()
    finally:
        client.close()
    if status is not None and answer.status != status:
        raise RuntimeError(f"{answer.status}: {content[:300]!r}")
    return content


if __name__ == "__main__":
    standalone(run, "sql", __doc__)
