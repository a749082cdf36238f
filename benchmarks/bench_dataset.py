"""Datasets: appends, registration of 100,000 rows, reading them in pages, the list; and what others feel meanwhile.

Rows have 200 bytes. Pages hold 1,000 rows and are read one after the other by one client.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from msgspec import Raw

from benchmarks.client import Connection
from benchmarks.load import concurrently
from benchmarks.others import others
from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds, percentile
from benchmarks.rows import rows
from benchmarks.servers import replaystack

DATASETS = "/v1beta/datasets"
IO = "/v1beta/datasetio"
MANY = 100_000
PAGE = 1_000
LISTED = 10
APPEND_CLIENTS = 4

APPEND_BAR_MS = 4.0
APPENDED_BAR = 50_000.0
REGISTER_BAR_S = 2.0
READ_BAR = 150_000.0
LAST_PAGE_BAR = 1.2
LIST_BAR_MS = 10.0
OTHERS_BAR_MS = 30.0


def run(quick: bool) -> list[Result]:
    """Ten datasets of 100,000 rows are registered: their list is of a million rows together."""
    rounds = 3 if quick else 7
    with (
        tempfile.TemporaryDirectory() as folder,
        replaystack(Path(folder) / "data") as server,
        others(server.port) as others_ms,
        Connection(server.port, 120.0) as connection,
    ):
        appends = _appends(server.port, connection, rounds)
        registered_s = [_register(connection, f"many-{i}") for i in range(LISTED)]
        reads = _reads(connection, "many-0", rounds)
        listed_ms = [
            percentile([connection.get(DATASETS).took_ms for _ in range(20)], 0.5) for _ in range(rounds)
        ]
    return [
        *appends,
        of_rounds("register 100,000 rows (20 MB)", registered_s, "s", REGISTER_BAR_S),
        *reads,
        of_rounds("list of datasets that hold 1,000,000 rows, p50", listed_ms, "ms", LIST_BAR_MS),
        Result("another request while all this runs, p50", percentile(others_ms, 0.5), "ms"),
        Result("the same, p99", percentile(others_ms, 0.99), "ms", OTHERS_BAR_MS),
        Result("the same, worst", max(others_ms), "ms"),
    ]


def _appends(port: int, connection: Connection, rounds: int) -> list[Result]:
    _new(connection, "small", Raw(b"[]"))
    small = {"rows": rows(0, 100)}
    path = f"{IO}/append-rows/small"
    for _ in range(20):
        connection.post(path, small)
    took_ms = [
        percentile([connection.post(path, small).took_ms for _ in range(60)], 0.5) for _ in range(rounds)
    ]
    _new(connection, "large", Raw(b"[]"))
    large, each = {"rows": rows(0, PAGE)}, 25

    def several(client: Connection, _: int) -> None:
        for _ in range(each):
            client.post(f"{IO}/append-rows/large", large)

    one = [each * PAGE / _seconds(lambda: several(connection, 0)) for _ in range(rounds)]
    all_s = [concurrently(port, APPEND_CLIENTS, several)[1] for _ in range(rounds)]
    return [
        of_rounds("append 100 rows, durable, 1 client, p50", took_ms, "ms", APPEND_BAR_MS),
        of_rounds("rows appended, 1,000 a request, 1 client", one, "rows/s", APPENDED_BAR, "higher"),
        of_rounds(
            f"the same, {APPEND_CLIENTS} clients",
            [APPEND_CLIENTS * each * PAGE / seconds for seconds in all_s],
            "rows/s",
            APPENDED_BAR,
            "higher",
        ),
    ]


def _register(connection: Connection, dataset_id: str) -> float:
    content = rows(0, MANY)
    return _seconds(lambda: _new(connection, dataset_id, content))


def _reads(connection: Connection, dataset_id: str, rounds: int) -> list[Result]:
    speeds: list[float] = []
    first_ms: list[float] = []
    last_ms: list[float] = []
    for _ in range(rounds):
        pages = [
            connection.get(f"{IO}/iterrows/{dataset_id}?start_index={start}&limit={PAGE}")
            for start in range(0, MANY, PAGE)
        ]
        if pages[-1].body.count(b'"question"') != PAGE or b'"has_more":false' not in pages[-1].body:
            raise RuntimeError(f"Not the last page: {pages[-1].body[-300:]!r}")
        speeds.append(MANY / (sum(page.took_ms for page in pages) / 1000))
        for start, took in ((0, first_ms), (MANY - PAGE, last_ms)):
            path = f"{IO}/iterrows/{dataset_id}?start_index={start}&limit={PAGE}"
            took.append(percentile([connection.get(path).took_ms for _ in range(30)], 0.5))
    return [
        of_rounds("rows read in pages of 1,000", speeds, "rows/s", READ_BAR, "higher"),
        of_rounds(
            "last page against first",
            [last / first for first, last in zip(first_ms, last_ms, strict=True)],
            "x",
            LAST_PAGE_BAR,
        ),
    ]


def _new(connection: Connection, dataset_id: str, content: Raw) -> None:
    source = {"type": "rows", "rows": content}
    connection.post(DATASETS, {"purpose": "eval/question-answer", "dataset_id": dataset_id, "source": source})


def _seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    standalone(run, "dataset", __doc__)
