"""Hostile SQL: through the server with its gate, and in the worker without it. Nothing outside is read or written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import httpx
import msgspec
import pytest

from projections.user_views import statements, user_views
from stack.providers.sql.tasks import BODY, REFUSED, Attach, Copy, Load, Refusal, Run, Task
from stack.workers.failure import NoAnswer
from stack.workers.limits import Limits
from stack.workers.process import Spec, Worker
from stack.workers.starter import Starter
from tests.server.hostile_sql import BOMBS, HOSTILE
from tests.server.process import Replaystack

pytestmark = [pytest.mark.slow]

SECRET = "the secret of another file"
WAIT_S = 60.0
SCHEMAS = ("views.build_1", "telemetry.build_1")


class Outside:
    """The goals of hostile statements: a file with a secret, and a folder in which nothing may appear."""

    def __init__(self, folder: Path) -> None:
        self.secret = folder / "secret.txt"
        self.secret.write_text(SECRET)
        self.out = folder / "out"
        self.out.mkdir()

    def text(self, statement: str) -> str:
        return statement.replace("{secret}", str(self.secret)).replace("{out}", str(self.out))

    def check(self) -> None:
        assert list(self.out.iterdir()) == []
        assert self.secret.read_text() == SECRET


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Outside:
    return Outside(tmp_path_factory.mktemp("outside"))


@pytest.fixture(scope="module")
def sql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replaystack]:
    data = tmp_path_factory.mktemp("sql") / "data"
    with Replaystack(data, settings={"sql_timeout_s": 5.0, "telemetry_sealed_spans": 16}) as server:
        yield server
        server.check_healthy()
    assert server.wait() == 0


@pytest.fixture(scope="module")
def http(sql_server: Replaystack) -> Iterator[httpx.Client]:
    with sql_server.http() as client:
        yield client


def asked(http: httpx.Client, query: str) -> httpx.Response:
    return http.post("/v1alpha/sql", json={"query": query}, timeout=WAIT_S)


@pytest.mark.parametrize("statement", HOSTILE)
def test_the_gate_refuses(http: httpx.Client, outside: Outside, statement: str) -> None:
    answer = asked(http, outside.text(statement))
    assert answer.status_code == 400, answer.text
    assert (HOSTILE[statement] or "") in answer.json()["detail"]
    assert SECRET not in answer.text
    outside.check()


@pytest.mark.parametrize("statement", BOMBS)
def test_a_limit_ends_the_query(http: httpx.Client, statement: str) -> None:
    answer = asked(http, statement)
    assert answer.status_code == 400
    assert BOMBS[statement] in answer.json()["detail"]
    assert asked(http, "SELECT 1 AS one").json()["rows"] == [[1]]


class Ungated:
    """A worker with no gate over copies of a server's files; a new one after each that ended, or did what it was told, so
    that no statement builds on an earlier one."""

    def __init__(self, data: Path, folder: Path) -> None:
        self._starter = Starter("ungated")
        self._data, self._folder, self._number = data, folder, 0
        self._worker: Worker | None = None

    async def said(self, query: str) -> str:
        """Returns all that the statement gives, or why it was refused."""
        if self._worker is None:
            self._worker = await self._filled()
        try:
            frames = await self._asked(self._worker, Run(query, [], "json", 1000, 1 << 20))
        except NoAnswer as error:
            self._worker = None
            return str(error)
        refused = [msgspec.json.decode(text, type=Refusal).detail for kind, text in frames if kind == REFUSED]
        if not refused:
            await self._starter.end(self._worker)
            self._worker = None
        return "".join(refused) or b"".join([text for kind, text in frames if kind == BODY]).decode()

    async def _filled(self) -> Worker:
        self._number += 1
        folder = str(self._folder / str(self._number))
        files = {name: str(self._data / f"{name}.duckdb") for name in ("views", "telemetry")}
        limits = Limits(memory_bytes=3 * 2**29, wait_s=WAIT_S, nice=10)
        worker = await self._starter.start(Spec(module="tests.workers.ungated_sql", limits=limits))
        await self._asked(worker, Load())
        await self._asked(worker, Copy(files, folder, 0))
        sealed = str(self._data / "sealed")
        views, telemetry = SCHEMAS
        await self._asked(
            worker,
            Attach(folder, sealed, views, telemetry, list(user_views()), statements(*SCHEMAS), {}, 2**28),
        )
        return worker

    async def _asked(self, worker: Worker, task: Task) -> list[tuple[int, bytes]]:
        async with aclosing(self._starter.frames(worker, msgspec.json.encode(task))) as frames:
            return [(frame.kind, frame.payload) async for frame in frames]

    async def aclose(self) -> None:
        await self._starter.aclose()


def test_without_the_gate_nothing_outside_is_read_or_written(
    sql_server: Replaystack, outside: Outside, tmp_path: Path
) -> None:
    async def run() -> dict[str, str]:
        ungated = Ungated(sql_server.data, tmp_path)
        try:
            return {statement: await ungated.said(outside.text(statement)) for statement in HOSTILE}
        finally:
            await ungated.aclose()

    said = asyncio.run(run())
    for statement, text in said.items():
        assert SECRET not in text, statement
        assert "root:" not in text, statement
    outside.check()
    copies = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in copies} <= {
        "views.duckdb",
        "views.duckdb.wal",
        "telemetry.duckdb",
        "telemetry.duckdb.wal",
    }
