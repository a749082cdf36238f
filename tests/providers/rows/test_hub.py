"""Datasets of the hub, with the hub's own library against a hub on loopback that has its layout."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pytest

from stack.errors import Invalid, ReplaystackError, UpstreamFailed
from stack.providers.fetch.guarded import GuardedFetcher
from stack.providers.rows.hub import parsed
from stack.providers.rows.hub_files import CONVERTED
from stack.providers.rows.reader import RowReader
from stack.providers.rows.settings import ReadLimits
from tests.providers.rows.children import children, is_at_work
from tests.providers.rows.contents import values
from tests.providers.rows.local_hub import LARGE_BYTES, LocalHub, running_hub
from tests.servers.processes import ROOT

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SECRET = "hf_secretsecretsecret"


def parquet(start: int, count: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as database:
        database.execute(
            f"COPY (SELECT i AS n, 'q' || i AS question FROM range({start}, {start + count}) t(i)) "
            f"TO '{folder}/x.parquet' (FORMAT parquet)"
        )
        return (Path(folder) / "x.parquet").read_bytes()


def rows(start: int, count: int) -> list[Any]:
    return [{"n": number, "question": f"q{number}"} for number in range(start, start + count)]


@pytest.fixture(scope="module")
def hub() -> Iterator[LocalHub]:
    with running_hub() as hub:
        hub.datasets["llamastack/simpleqa"] = {
            "main": {"README.md": b"# x", "data.csv": b"a\n1\n"},
            CONVERTED: {
                ".gitattributes": b"x",
                "default/train/0001.parquet": parquet(500, 7),
                "default/train/0000.parquet": parquet(0, 500),
                "default/test/0000.parquet": parquet(900, 3),
                "other/train/0000.parquet": parquet(1000, 2),
                "huge/partial-train/0000.parquet": parquet(0, 1),
            },
        }
        hub.datasets["own/files"] = {
            "main": {
                "data/train-00000-of-00002.parquet": parquet(0, 2),
                "data/train-00001-of-00002.parquet": parquet(2, 2),
                "data/test-00000-of-00001.parquet": parquet(10, 1),
            },
            "v1": {"data/train-00000-of-00001.parquet": parquet(70, 1)},
        }
        card = (
            b"---\nlicense: mit\nconfigs:\n- config_name: main\n  default: true\n  data_files:\n"
            b"  - split: easy\n    path: a/*.parquet\n  - split: hard\n    path: [b/x.parquet, 'c/**']\n---\n# Files\n"
        )
        hub.datasets["own/described"] = {
            "main": {
                "README.md": card,
                "a/1.parquet": parquet(1, 1),
                "a/deeper/2.parquet": parquet(2, 1),
                "b/x.parquet": parquet(3, 1),
                "c/d/e.parquet": parquet(4, 1),
            }
        }
        hub.datasets["closed/gated"] = {"main": {}}
        hub.gated.add("closed/gated")
        yield hub


@pytest.fixture
async def reader(hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RowReader]:
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.setenv("HF_TOKEN", SECRET)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(downloads))
    hub.requests.clear()
    reader = RowReader(GuardedFetcher(), [], tmp_path / "data")
    yield reader
    await reader.aclose()
    assert list(downloads.iterdir()) == []
    assert children() == []


async def read(reader: RowReader, uri: str) -> list[Any]:
    return values([block async for block in reader.read(f"huggingface://{uri}")])


async def refusal(reader: RowReader, uri: str, kind: type[ReplaystackError] = Invalid) -> str:
    with pytest.raises(kind) as refused:
        await read(reader, uri)
    assert SECRET not in refused.value.detail
    return refused.value.detail


async def test_the_converted_files_of_a_split_come_in_order(reader: RowReader, hub: LocalHub) -> None:
    assert len(hub.datasets["llamastack/simpleqa"][CONVERTED]["default/train/0000.parquet"]) > LARGE_BYTES
    assert await read(reader, "llamastack/simpleqa?split=train") == rows(0, 507)
    # It is one commit, and the token goes to the hub alone.
    commit = hub.commit("llamastack/simpleqa", CONVERTED)
    assert all(commit in path or "/revision/" in path for _, path, _ in hub.requests)
    assert all(said == ("" if "/cdn/" in path else f"Bearer {SECRET}") for _, path, said in hub.requests)
    assert sum("/cdn/" in path for _, path, _ in hub.requests) == 1


async def test_config_and_revision_choose(reader: RowReader) -> None:
    assert await read(reader, "datasets/llamastack/simpleqa?name=other") == rows(1000, 2)
    assert await read(reader, f"llamastack/simpleqa?split=test&revision={CONVERTED}") == rows(900, 3)
    assert await read(reader, "own/files?revision=v1") == rows(70, 1)


async def test_own_files_where_nothing_was_converted(reader: RowReader) -> None:
    assert await read(reader, "own/files?split=train") == rows(0, 4)
    assert await read(reader, "own/described?split=easy") == rows(1, 1)
    assert await read(reader, "own/described?split=hard") == rows(3, 2)


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("llamastack/simpleqa", "several splits; add ?split= with one of test, train"),
        ("llamastack/simpleqa?split=train&revision=v9", "no revision 'v9'"),
        ("nobody/nothing?split=train", "does not exist"),
        ("closed/gated?split=train", "is gated"),
        ("llamastack/simpleqa?split=train&token=hf_secretsecretsecret", "the parameter 'token'"),
        ("llamastack/simpleqa?split=train&split=test", "each once"),
        ("a/b/c/d?split=train", "names no dataset"),
        ("?split=train", "names no dataset"),
        ("a/..%2f..%2fb?split=train", "names no dataset"),
        ("a b/c", "names no dataset"),
        ("../x", "not the name of a dataset"),
    ],
)
async def test_what_is_not_there_is_named(reader: RowReader, uri: str, problem: str) -> None:
    assert problem in await refusal(reader, uri)


async def test_a_dataset_above_the_limit_is_not_downloaded(
    hub: LocalHub, reader: RowReader, tmp_path: Path
) -> None:
    small = RowReader(GuardedFetcher(), [], tmp_path / "data", ReadLimits(max_bytes=2000))
    assert "(setting max_dataset_bytes)" in await refusal(small, "llamastack/simpleqa?split=train")
    assert not any("/resolve/" in path for _, path, _ in hub.requests)
    await small.aclose()


async def test_a_hub_that_is_busy_or_gone_is_its_fault(
    hub: LocalHub, reader: RowReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.broken = True
    try:
        said = await refusal(reader, "llamastack/simpleqa?split=train", UpstreamFailed)
        assert "the hub answered 503" in said
    finally:
        hub.broken = False
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "could not be downloaded" in await refusal(reader, "own/files?split=train", UpstreamFailed)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE" in await refusal(reader, "own/files?split=train")


async def test_a_reader_that_stops_leaves_nothing_behind(reader: RowReader) -> None:
    async with aclosing(reader.read("huggingface://llamastack/simpleqa?split=train")) as blocks:
        await anext(blocks)
        assert len(children()) == 2
    assert children() == []
    waiting = asyncio.ensure_future(read(reader, "llamastack/simpleqa?split=train"))
    await asyncio.sleep(0.3)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


SERVER = """
import asyncio
from pathlib import Path
from stack.providers.fetch.guarded import GuardedFetcher
from stack.providers.rows.reader import RowReader

async def main():
    reader = RowReader(GuardedFetcher(), [], Path("data"))
    async for block in reader.read("huggingface://llamastack/simpleqa?split=train"):
        print("block", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_a_server_that_is_killed_leaves_nothing_behind(reader: RowReader, tmp_path: Path) -> None:
    downloads = tmp_path / "killed"
    downloads.mkdir()
    environment = os.environ | {"TMPDIR": str(downloads)}
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], cwd=ROOT, env=environment, stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        await asyncio.to_thread(server.stdout.readline)
        workers = psutil.Process(server.pid).children()
        assert len(workers) == 2 and list(downloads.iterdir())
        server.kill()
    while any(map(is_at_work, workers)) or list(downloads.iterdir()):
        await asyncio.sleep(0.01)


async def test_without_the_library_its_extra_is_named(
    reader: RowReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "replaystack[huggingface]" in await refusal(reader, "own/files?split=train")


def test_what_a_uri_asks_for() -> None:
    limits = ReadLimits()
    job = parsed("huggingface://o-w.n/na_me?split=train%20x&name=c&revision=refs%2Fpr%2F1", limits)
    assert (job.repository, job.split, job.config, job.revision) == (
        "o-w.n/na_me",
        "train x",
        "c",
        "refs/pr/1",
    )
    assert parsed("huggingface:squad", limits).repository == "squad"
    assert parsed("huggingface://datasets/name", limits).repository == "datasets/name"
