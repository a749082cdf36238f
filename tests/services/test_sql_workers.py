"""Copies of the read models that cannot be used, or are older than the files were, are made again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import msgspec
import pytest

from projections.read_models import current_plan
from projections.telemetry_build import TelemetryBuild
from projections.warehouse.build import Build
from projections.warehouse.instance import Copyable, Warehouse
from projections.warehouse.transaction import File
from stack.errors import Unavailable
from stack.services.sql.sql_workers import Reached, SqlWorkers

pytestmark = pytest.mark.slow

MEMORY_BYTES = 3 * 2**29
Sources = dict[File, Copyable]


class Told:
    """In place of a warehouse: what it tells of its files, attempt by attempt."""

    def __init__(self, folder: Path, *attempts: Mapping[str, Any]) -> None:
        self._attempts = list(attempts)
        self._right = Copyable(folder / "views.duckdb", "views.build_1", 0)
        self._telemetry = Copyable(folder / "telemetry.duckdb", "telemetry.build_1", 0)
        self.sealed_folder = folder / "sealed"

    @contextmanager
    def copying(self) -> Iterator[Sources]:
        views = msgspec.structs.replace(self._right, **self._attempts.pop(0))
        yield {"views": views, "telemetry": self._telemetry}

    def keeping_sealed(self) -> AbstractContextManager[None]:
        return nullcontext()

    @property
    def attempts_left(self) -> int:
        return len(self._attempts)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    warehouse = Warehouse.open(tmp_path / "data")
    try:
        TelemetryBuild.open(warehouse, "epoch")
        Build.create(warehouse, current_plan(), "epoch")
    finally:
        warehouse.close()
    return tmp_path / "data"


def snapshot(folder: Path, warehouse: Any) -> None:
    async def taken() -> None:
        workers = SqlWorkers(folder, warehouse, MEMORY_BYTES, 60.0, ())
        try:
            async with workers.snapshot(Reached(0, 0)) as worker:
                assert not worker.has_exited()
        finally:
            await workers.aclose()

    asyncio.run(taken())
    assert list((folder / "sql").iterdir()) == []


def test_a_torn_copy_and_an_older_one_are_made_again(folder: Path) -> None:
    torn = folder / "torn"
    torn.write_bytes((folder / "views.duckdb").read_bytes()[:5000])
    warehouse = Told(folder, {"path": torn}, {"position": 1}, {})
    snapshot(folder, warehouse)
    assert not warehouse.attempts_left


def test_copies_that_stay_older_are_given_up(folder: Path) -> None:
    warehouse = Told(folder, *[{"position": 1}] * 4)
    with pytest.raises(Unavailable, match="copied"):
        snapshot(folder, warehouse)
    assert warehouse.attempts_left == 1
