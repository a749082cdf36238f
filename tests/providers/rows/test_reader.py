"""Rows through real worker processes: from every kind of URI, and out of bodies of every size."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import psutil
import pytest

from stack.errors import Invalid, ReplaystackError, TooLarge, UpstreamFailed, UpstreamTimeout
from stack.providers.fetch.guarded import GuardedFetcher
from stack.providers.rows.reader import IN_PLACE_BYTES, IN_THREAD_BYTES, RowReader
from stack.providers.rows.settings import ReadLimits
from tests.providers.rows.children import children
from tests.providers.rows.contents import texts, values
from tests.servers.scripted_https import running_https

pytestmark = pytest.mark.anyio

CSV = b'id,text,ok\r\n1,"a ""b""\r\nc",true\r\n2,,false\r\n'
ROWS = [{"id": 1, "text": 'a "b"\r\nc', "ok": True}, {"id": 2, "text": None, "ok": False}]
LINES = b"\n".join(json.dumps(row).encode() for row in ROWS)


def parquet_of(folder: Path, select: str) -> bytes:
    file = folder / "made.parquet"
    with duckdb.connect() as database:
        database.execute(f"COPY ({select}) TO '{file}' (FORMAT parquet)")
    return file.read_bytes()


@pytest.fixture
async def reader(tmp_path: Path) -> AsyncIterator[RowReader]:
    reader = RowReader(GuardedFetcher(), [tmp_path], tmp_path / "data")
    yield reader
    await reader.aclose()


async def rows_of(reader: RowReader, uri: str) -> list[Any]:
    return values([block async for block in reader.read(uri)])


async def refusal(reader: RowReader, uri: str, kind: type[ReplaystackError] = Invalid) -> str:
    with pytest.raises(kind) as refused:
        await rows_of(reader, uri)
    assert children() == []
    return refused.value.detail


@pytest.mark.parametrize(
    ("head", "content"),
    [
        ("csv", CSV),
        ("text/csv;charset=utf-8", CSV),
        ("json", b"[" + LINES.replace(b"\n", b",") + b"]"),
        ("application/json", b"[" + LINES.replace(b"\n", b",") + b"]"),
        ("jsonl", LINES),
        ("application/x-ndjson", gzip.compress(LINES, mtime=0)),
        ("", b"[" + LINES.replace(b"\n", b",") + b"]"),
    ],
)
async def test_data_urls(reader: RowReader, head: str, content: bytes) -> None:
    assert await rows_of(reader, f"data:{head};base64,{base64.b64encode(content).decode()}") == ROWS
    if not content.startswith(b"\x1f"):
        assert await rows_of(reader, f"DATA:{head},{quote(content)}") == ROWS


@pytest.mark.slow
async def test_files_of_each_format_beneath_a_root(reader: RowReader, tmp_path: Path) -> None:
    (tmp_path / "a b.csv").write_bytes(CSV)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(LINES))
    (tmp_path / "a.parquet").write_bytes(
        parquet_of(
            tmp_path,
            "SELECT * FROM (VALUES (1, 'a \"b\"' || chr(13) || chr(10) || 'c', true), (2, NULL, false)) t(id, text, ok)",
        )
    )
    (tmp_path / "no_extension").write_bytes(LINES)
    for name in ("a%20b.csv", "a.jsonl.gz", "a.parquet", "no_extension"):
        assert await rows_of(reader, f"lsfs://{name}") == ROWS
        assert await rows_of(reader, f"file://{tmp_path}/{name}") == ROWS


@pytest.mark.slow
async def test_https_goes_through_the_guarded_fetcher(tmp_path: Path) -> None:
    async with running_https() as server:
        server.files["a.csv"] = ("text/plain", CSV)
        server.files["b"] = ("application/x-ndjson; charset=utf-8", LINES)
        server.files["c"] = ("application/octet-stream", parquet_of(tmp_path, "SELECT 7 AS a"))
        server.files["login.csv"] = ("text/html", b"<!doctype html><p>Log in")
        server.files["large"] = ("text/csv", b"a\n" + b"1\n" * 5000)
        reader = RowReader(server.fetcher(), [], tmp_path / "data", ReadLimits(max_fetch_bytes=5000))
        assert await rows_of(reader, f"{server.base}/file?name=b") == ROWS
        assert await rows_of(reader, f"{server.base}/file?name=c") == [{"a": 7}]
        assert await rows_of(reader, f"{server.base}/redirect?to={quote('/file?name=b')}") == ROWS
        assert "web page" in await refusal(reader, f"{server.base}/file?name=login.csv&key=secret")
        assert "larger than 5000 bytes" in await refusal(reader, f"{server.base}/file?name=large&key=secret")
        assert "/status answered 404" in await refusal(reader, f"{server.base}/status?code=404")
        assert "answered 503" in await refusal(reader, f"{server.base}/status?code=503", UpstreamFailed)
        await reader.aclose()


async def test_a_url_that_becomes_private_is_refused(tmp_path: Path) -> None:
    async with running_https() as server:
        server.files["a"] = ("text/csv", CSV)
        reader = RowReader(server.fetcher(inside_example="10.1.2.3"), [], tmp_path / "data")
        for to in ("https://169.254.169.254/latest", "https://inside.example/a.csv", "http://files.example/"):
            said = await refusal(reader, f"{server.base}/redirect?key=secret&to={quote(to)}")
            assert "public internet" in said or "https" in said
            assert "secret" not in said and "10.1.2.3" not in said
        strict = RowReader(GuardedFetcher(ports=(server.port,)), [], tmp_path / "data")
        for host in ("127.0.0.1", "localhost", "[::1]"):
            assert "public internet" in await refusal(strict, f"https://{host}:{server.port}/file?name=a")
        assert server.connections == 3
        for one in (reader, strict):
            await one.aclose()


async def test_a_name_that_resolves_differently_the_second_time(tmp_path: Path) -> None:
    async with running_https() as server:
        server.files["a"] = ("text/csv", CSV)
        answers = iter(("127.0.0.1", "10.0.0.1"))
        fetcher = server.fetcher()

        async def resolve(host: str) -> Any:
            from ipaddress import ip_address

            return (ip_address(next(answers)),)

        fetcher._resolve = resolve
        reader = RowReader(fetcher, [], tmp_path / "data")
        assert "public internet" in await refusal(reader, f"{server.base}/redirect?to=/file%3Fname%3Da")
        await reader.aclose()


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("", "no scheme; rows are read from data:, lsfs:, file:, https: and huggingface: URIs"),
        ("mydata.csv", "no scheme"),
        ("/etc/passwd", "no scheme"),
        ("http://files.example/a.csv?key=secret", "the scheme 'http'"),
        ("s3://secret/a.csv", "the scheme 's3'"),
        ("C:\\secret.csv", "the scheme 'c'"),
        ("data:csv", "no comma"),
        ("data:csv;base64,####", "not base64"),
        ("data:csv;base64,UEsDBAAA", "ZIP archive"),
        ("data:,secret", "none of CSV"),
        ("lsfs://missing.csv", "does not exist"),
        ("file:///etc/passwd", "not in a folder"),
        ("https://user:secret@files.example/a.csv", "credentials"),
    ],
)
async def test_what_is_no_source_is_refused(reader: RowReader, uri: str, problem: str) -> None:
    said = await refusal(reader, uri)
    assert problem in said
    assert "secret" not in said


async def test_errors_of_content_name_the_source_and_the_line(reader: RowReader, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n3\n")
    assert (await refusal(reader, "lsfs://bad.csv")).startswith("lsfs://bad.csv: line 3: it has 1 cells")
    assert (await refusal(reader, "data:jsonl,{}%0A[]")).startswith("The data: URL: line 2 is a list")


@pytest.mark.slow
async def test_limits_are_named(tmp_path: Path) -> None:
    (tmp_path / "many.jsonl").write_bytes(b'{"a":1}\n' * 1000)
    (tmp_path / "bomb.jsonl.gz").write_bytes(gzip.compress(b'{"a":1}\n' * 10**7))
    reader = RowReader(GuardedFetcher(), [tmp_path], tmp_path / "data", ReadLimits(max_rows=999))
    assert "999 rows at the URI (setting max_dataset_rows)" in await refusal(reader, "lsfs://many.jsonl")
    # Columns whose types all lines decide, and lines that hold nothing.
    (tmp_path / "many.csv.gz").write_bytes(gzip.compress(b"a\n" + b"1\n" * 10**7))
    (tmp_path / "blank.csv.gz").write_bytes(gzip.compress(b"a\n" + b"\n" * 10**7))
    for name in ("many.csv.gz", "blank.csv.gz"):
        said = await refusal(reader, f"lsfs://{name}")
        assert "more than 999 rows" in said and "setting max_dataset_rows" in said
    small = RowReader(GuardedFetcher(), [tmp_path], tmp_path / "data", ReadLimits(max_bytes=10**6))
    assert "1000000 bytes when unpacked (setting max_dataset_bytes)" in await refusal(
        small, "lsfs://bomb.jsonl.gz"
    )
    (tmp_path / "wide.csv").write_text("n" * 1000 + "\n" + "1\n" * 2000)
    assert "1000000 bytes as JSON (setting max_dataset_bytes)" in await refusal(small, "lsfs://wide.csv")
    for one in (reader, small):
        await one.aclose()


@pytest.mark.slow
@pytest.mark.parametrize("size", [100, IN_PLACE_BYTES + 1, IN_THREAD_BYTES + 1])
async def test_bodies_of_all_sizes(reader: RowReader, size: int) -> None:
    rows = [
        b'{"n":%d,"text":"\xc3\xa9 %b","z":1.10}' % (index, b"x" * 80) for index in range(size // 100 + 1)
    ]
    body = b'{ "source": {"type": "rows", "rows": [' + b" , ".join(rows) + b' ]}, "id":"a" }'
    split = await reader.split(body, ("source", "rows"))
    assert split.envelope == b'{"source":{"type":"rows","rows":[]},"id":"a"}'
    assert texts(split.blocks) == rows
    for wrong, problem in (
        (body.replace(b" ]}", b",17]}"), rf"source\.rows\[{len(rows)}\] is a number"),
        (body[:-30], "not valid JSON"),
        (body.replace(b"\xc3\xa9", b"\xc3", 1), r"source\.rows\[0\] is not valid UTF-8"),
    ):
        with pytest.raises(Invalid, match=problem):
            await reader.split(wrong, ("source", "rows"))
    other = body.replace(b"rows", b"sows")
    assert await reader.split(other, ("source", "rows")) == type(split)(other, [])
    assert children() == []


async def test_a_row_too_large_in_a_large_body_is_413(reader: RowReader, tmp_path: Path) -> None:
    small = RowReader(GuardedFetcher(), [], tmp_path, ReadLimits(max_row_bytes=10**6))
    with pytest.raises(TooLarge, match=r"rows\[1\] has more than 1000000 bytes"):
        await small.split(b'{"rows":[{},{"a":"%b"}]}' % (b"x" * 5_000_000), ("rows",))
    await small.aclose()


@pytest.mark.slow
async def test_a_million_rows_stream_in_little_memory(reader: RowReader, tmp_path: Path) -> None:
    line = b'{"id":%d,"text":"' + b"x" * 150 + b'"}\n'
    with (tmp_path / "million.jsonl").open("wb") as file:
        for start in range(0, 1_000_000, 10_000):
            file.write(b"".join(line % number for number in range(start, start + 10_000)))
    process = psutil.Process()
    before = process.memory_info().rss
    count = most = child = 0
    async with aclosing(reader.read("lsfs://million.jsonl")) as blocks:
        async for block in blocks:
            count += block.count
            most = max(most, process.memory_info().rss - before)
            child = max([child, *(one.memory_info().rss for one in children())])
    assert count == 1_000_000
    assert most < 16 * 2**20
    assert child < 80 * 2**20


async def test_the_worker_waits_for_a_consumer_that_is_slow(reader: RowReader, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"a":"%b"}\n' % (b"x" * 1000) * 50_000)
    async with aclosing(reader.read("lsfs://a.jsonl")) as blocks:
        await anext(blocks)
        [worker] = children()
        await asyncio.sleep(0.3)
        used = sum(worker.cpu_times()[:2])
        await asyncio.sleep(0.3)
        assert sum(worker.cpu_times()[:2]) - used < 0.05
        assert worker.memory_info().rss < 60 * 2**20
    assert children() == []


async def test_two_uris_are_read_at_once_and_the_third_waits(reader: RowReader, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"a":"%b"}\n' % (b"x" * 1000) * 10_000)
    first, second, third = (reader.read("lsfs://a.jsonl") for _ in range(3))
    await anext(first)
    await anext(second)
    waiting = asyncio.ensure_future(anext(third))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    assert len(children()) == 2
    # A body has places of its own.
    assert (
        await reader.split(b'{"rows":[%b{}]}' % (b'{"a":"%b"},' % (b"x" * 1000) * 5000), ("rows",))
    ).envelope
    await first.aclose()
    assert (await waiting).count
    for one in (second, third):
        await one.aclose()


async def test_a_hanging_source_keeps_a_place_and_gives_it_back(tmp_path: Path) -> None:
    async with running_https() as server:
        reader = RowReader(server.fetcher(), [], tmp_path, ReadLimits(fetch_s=0.3))
        said = await refusal(reader, f"{server.base}/silent?key=secret", UpstreamTimeout)
        assert "did not come within 0.3 s" in said and "secret" not in said
        await reader.aclose()
