"""Content of datasets that is made to take much: refused with the limit's name, and nothing of it remains."""

from __future__ import annotations

import base64
import gzip
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import httpx
import psutil
import pytest

from stack.providers.rows.reader import IN_THREAD_BYTES
from tests.providers.rows.children import is_at_work
from tests.server.api import check_error
from tests.server.conftest import FreshServer
from tests.server.datasets import Datasets, raw_rows
from tests.server.process import Replaystack, wait_until

pytestmark = pytest.mark.slow

MIB = 2**20
ROWS = "max_dataset_rows"
BYTES = "max_dataset_bytes"
CPU = "max_dataset_cpu_s"
MEMORY = "max_dataset_memory_bytes"
SLOW = gzip.compress(b"\n" * MIB, 1) * 500
"""JSON lines, all of them blank: a minute of reading."""

CONTENTS = {
    "short rows.csv.gz": (gzip.compress(b"a\n" + b"1\n" * 300_000), ROWS),
    "blank rows.csv.gz": (gzip.compress(b"a\n" + b"\n" * 300_000), ROWS),
    "one cell.csv.gz": (gzip.compress(b"a\n" + bytes(20 * MIB)), BYTES),
    "one line.csv.gz": (gzip.compress(b"a," * 10 * MIB), BYTES),
    "columns.csv": (b",".join(b"c%d" % number for number in range(100_001)) + b"\n", "100001 columns"),
    "numbers.json": (b"[" + b"1," * 1_000_000 + b"1]", "element 0 is a number"),
    "then numbers.json.gz": (gzip.compress(b"[{}" + b",1" * 8_000_000 + b"]"), MEMORY),
    "objects.json": (b"[" + b"{}," * 300_000 + b"{}]", ROWS),
    "objects.jsonl": (b"{}\n" * 300_000, ROWS),
    "deep.json": (b'[{"a":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}]", "nested too deeply"),
    "deep.jsonl": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
    "unclosed.json": (b"[" * 1_000_000, "nested too deeply"),
    "unclosed.jsonl": (b'{"a":' * 1_000_000, "nested too deeply"),
}
PARQUET = {
    "rows.parquet": ("SELECT 1 AS a FROM range(200001)", ROWS),
    "text.parquet": ("SELECT repeat('x', 1000000) AS a FROM range(300)", MEMORY),
}


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bombs")
    for name, (content, _) in CONTENTS.items():
        (folder / name).write_bytes(content)
    with duckdb.connect() as database:
        for name, (query, _) in PARQUET.items():
            options = "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 100000000"
            database.execute(f"COPY ({query}) TO '{folder / name}' ({options})")
    (folder / "slow.jsonl.gz").write_bytes(SLOW)
    return folder


@pytest.fixture(scope="module")
def limited(roots: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replaystack]:
    settings = {
        "dataset_roots": roots,
        "max_dataset_rows": 200_000,
        "max_dataset_bytes": 16 * MIB,
        "max_dataset_cpu_s": 20,
        "max_dataset_memory_bytes": 512 * MIB,
    }
    with Replaystack(tmp_path_factory.mktemp("limited") / "data", settings=settings) as server:
        yield server


def workers(server: Replaystack) -> list[psutil.Process]:
    return psutil.Process(server.pid).children()


@pytest.mark.parametrize(
    ("name", "limit"), [(name, limit) for name, (_, limit) in (CONTENTS | PARQUET).items()]
)
def test_content_that_takes_much_is_refused(limited: Replaystack, name: str, limit: str) -> None:
    with limited.http() as http:
        datasets = Datasets(http)
        check_error(datasets.register(uri=f"lsfs://{name.replace(' ', '%20')}"), 400, limit)
        content = CONTENTS.get(name, (b"",))[0]
        if 0 < len(content) < MIB:
            kind = name.removesuffix(".gz").rpartition(".")[2]
            data = base64.b64encode(content).decode()
            check_error(datasets.register(uri=f"data:{kind};base64,{data}"), 400, limit)
        assert workers(limited) == []
        assert datasets.listed() == {}


@pytest.mark.parametrize(
    ("rows", "status", "limit"),
    [
        (b"{}," * 1_800_000 + b"{}", 413, ROWS),
        (b"{}," + b"1," * 3_000_000 + b"1", 413, ROWS),
        (b'{"a":' + b"[" * 3_000_000 + b"]" * 3_000_000 + b"}", 400, "nested too deeply"),
    ],
)
def test_rows_of_a_body_that_take_much_are_refused(
    limited: Replaystack, rows: bytes, status: int, limit: str
) -> None:
    assert len(rows) > IN_THREAD_BYTES
    with limited.http() as http:
        body = raw_rows("[ROWS]").encode().replace(b"ROWS", rows)
        headers = {"content-type": "application/json"}
        check_error(http.post("/v1beta/datasets", content=body, headers=headers), status, limit)
        assert workers(limited) == [] and Datasets(http).listed() == {}


def test_others_are_served_while_content_is_read(limited: Replaystack) -> None:
    with limited.http() as http, ThreadPoolExecutor(1) as threads:
        refused = threads.submit(Datasets(http).register, uri="lsfs://objects.json")
        answered = 0
        while not refused.done():
            assert http.get("/v1/health").status_code == 200
            answered += 1
        check_error(refused.result(), 400, ROWS)
        assert answered > 1


def test_small_content_that_takes_long_is_refused(roots: Path, fresh_server: FreshServer) -> None:
    server = fresh_server(dataset_roots=roots, max_dataset_cpu_s=1)
    with server.http() as http:
        answer = Datasets(http).register(uri="lsfs://slow.jsonl.gz")
        check_error(answer, 400, f"takes more than 1 s of computing to read (setting {CPU})")
    assert workers(server) == []


@pytest.mark.parametrize("end", ["client", "SIGTERM", "SIGKILL"])
def test_reading_ends_with_its_client_and_its_server(
    roots: Path, fresh_server: FreshServer, end: str
) -> None:
    server = fresh_server(dataset_roots=roots, shutdown_grace_s=0)
    with server.http() as http, ThreadPoolExecutor(1) as threads:
        http.timeout = httpx.Timeout(2.0 if end == "client" else 60.0)
        reading = threads.submit(Datasets(http).register, uri="lsfs://slow.jsonl.gz")
        wait_until(lambda: workers(server))
        [worker] = workers(server)
        if end != "client":
            os.kill(server.pid, signal.Signals[end])
        if end == "SIGTERM":
            check_error(reading.result(), 503, "shutting down")
        else:
            assert isinstance(reading.exception(), httpx.TransportError)
        wait_until(lambda: not is_at_work(worker))
    if end == "client":
        with server.http() as http:
            assert Datasets(http).listed() == {}
        server.check_healthy()
        assert "failed" not in server.log
    elif end == "SIGTERM":
        assert server.wait() == 0
