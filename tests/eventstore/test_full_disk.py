"""A disk without space: the log opens for reading, only deletes are recorded, and all is well once there is space."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from stack.eventstore.sqlite import reserve
from stack.eventstore.sqlite.reserve import FILE_NAME, SIZE_BYTES, Reserve

# What a file system without space does: no file can grow. That limit says EFBIG, so free space is faked as well.
NO_SPACE = """
import resource, sys
from pathlib import Path
from projections.warehouse import files
from stack.eventstore.sqlite import reserve, schema
folder = Path(sys.argv[1])
def full():
    for module in (reserve, schema, files):
        module.free_bytes = lambda folder: 0
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
def freed():
    for module in (reserve, schema, files):
        module.free_bytes = lambda folder: 1 << 30
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""


def run(script: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", NO_SPACE + script, str(folder)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_log_opens_and_says_what_it_refuses(tmp_path: Path) -> None:
    script = """
import asyncio
from stack.errors import Unavailable
from stack.event_log import open_store
from tests.eventstore.samples import one

async def main():
    store = open_store(folder)
    await store.append(one("session-1"))
    store.close()
    full()
    store = open_store(folder)
    assert "disk is full" in store.trouble()
    assert len(await store.read_stream("session-1")) == 1
    try:
        await store.append(one("session-2"))
    except Unavailable as refused:
        print(refused.detail, refused.retry_after)
    assert len(await store.read_stream("session-2")) == 0
    freed()
    store.log._reserve.is_full(now=True)
    assert store.trouble() == ""
    await store.append(one("session-2"))
    store.close()
    store = open_store(folder)
    assert len(await store.read_stream("session-2")) == 1
    store.close()

asyncio.run(main())
"""
    told = run(script, tmp_path)
    assert "Nothing was stored" in told and told.strip().endswith("5")


@pytest.mark.slow
def test_tables_are_built_in_memory_until_there_is_space(tmp_path: Path) -> None:
    script = """
from projections.warehouse.instance import Warehouse
full()
warehouse = Warehouse.open(folder)
with warehouse.write() as transaction:
    transaction.run("CREATE TABLE views.main.t AS SELECT 1 AS x")
warehouse.leave_memory()
assert not (folder / "views.duckdb").exists()
freed()
warehouse.leave_memory()
assert (folder / "views.duckdb").exists()
warehouse.close()
"""
    run(script, tmp_path)


def test_space_is_set_aside_given_up_and_set_aside_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def free(count: int) -> None:
        monkeypatch.setattr(reserve, "free_bytes", lambda folder: count)

    kept = Reserve(tmp_path)
    free(1 << 30)
    assert not kept.is_full(now=True)
    assert (tmp_path / FILE_NAME).stat().st_size == SIZE_BYTES
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600
    free(1000)
    assert kept.is_full(now=True)
    assert not (tmp_path / FILE_NAME).exists()
    free(SIZE_BYTES)  # What was given up is for deletes.
    assert kept.is_full(now=True)
    free(1 << 30)
    assert not kept.is_full(now=True)
    assert (tmp_path / FILE_NAME).exists()


def test_a_small_disk_goes_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reserve, "free_bytes", lambda folder: 2 * SIZE_BYTES)
    assert not Reserve(tmp_path).is_full(now=True)
    assert not (tmp_path / FILE_NAME).exists()


@pytest.mark.slow
def test_a_log_of_an_earlier_release_is_left_as_it_is_without_room_for_its_upgrade(tmp_path: Path) -> None:
    with zipfile.ZipFile(Path(__file__).parents[1] / "histories" / "0.1.0.zip") as packed:
        packed.extractall(tmp_path)
    script = """
from stack.errors import Unavailable
from stack.log_loss import open_log_and_views

def contents():
    # SQLite's own files for sharing a log come and go.
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file() and "-" not in file.suffix}

before = contents()
full()
for _ in range(2):
    try:
        open_log_and_views(folder)
    except Unavailable as refused:
        print(refused.detail)
assert contents() == before
freed()
store, warehouse = open_log_and_views(folder)
assert store.head() > 100 and store.trouble() == ""
store.close()
warehouse.close()
full()
store, warehouse = open_log_and_views(folder)
assert "disk is full" in store.trouble()
store.close()
warehouse.close()
"""
    said = run(script, tmp_path / "data").splitlines()
    assert len(said) == 2 and "written by an earlier release" in said[0]
    assert "Nothing was changed. Free some space" in said[0]
