"""Reads rows from the URIs of datasets, and from request bodies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from stack.errors import Invalid, TooLarge
from stack.providers.fetch import data_url
from stack.providers.fetch.port import Fetcher
from stack.providers.fetch.target import shown_url
from stack.providers.rows import hub
from stack.providers.rows.body import take
from stack.providers.rows.frames import Job
from stack.providers.rows.port import RowBlock, SplitBody
from stack.providers.rows.process import Workers
from stack.providers.rows.roots import Roots, shown_file
from stack.providers.rows.settings import ReadLimits
from stack.workers.descriptor import Descriptor, of_bytes
from stack.workers.framing import Frame

IN_PLACE_BYTES = 256 * 1024
IN_THREAD_BYTES = 4 * 2**20
"""Larger bodies, in bytes, are split in a process: in a thread, one of 20 MB would hold the GIL for 75 ms."""

PLACES = 2
"""Number of URIs that are read at once, and of bodies that are split: a body does not wait for a large
URI."""

SCHEMES = "data:, lsfs:, file:, https: and huggingface:"
_ACCEPT = "text/csv,application/json,application/x-ndjson,application/vnd.apache.parquet,*/*;q=0.5"


class RowReader:
    """Implements `RowReading` with worker processes. `roots` are the folders from which files are read,
    `forbidden` is the data folder. Used on one event loop."""

    def __init__(
        self, fetcher: Fetcher, roots: Sequence[Path], forbidden: Path, limits: ReadLimits | None = None
    ) -> None:
        self._fetcher = fetcher
        self._roots = Roots(roots, forbidden)
        self._limits = limits or ReadLimits()
        self._uris = asyncio.Semaphore(PLACES)
        self._bodies = asyncio.Semaphore(PLACES)
        self._workers = Workers()

    async def aclose(self, grace_s: float = 0.0) -> None:
        """See `port.RowReading`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s), AsyncExitStack() as places:
                for semaphore in (self._uris, self._bodies) * PLACES:
                    await places.enter_async_context(semaphore)
        await self._workers.aclose()

    async def split(self, body: bytes, path: tuple[str, ...]) -> SplitBody:
        """See `port.RowReading`. Raises TooLarge as well."""
        if len(body) <= IN_PLACE_BYTES:
            return _split(body, path, self._limits)
        if len(body) <= IN_THREAD_BYTES:
            return await asyncio.to_thread(_split, body, path, self._limits)
        async with self._bodies:
            content = await asyncio.to_thread(of_bytes, body)
            job = Job(task="body", content=content.number, limits=self._limits, shown="The body", path=path)
            found = [frame async for frame in self._workers.read(content, job)]
        # All but the first frame are blocks.
        return SplitBody(found[0].payload, [_block(frame) for frame in found[1:]])

    async def read(self, uri: str) -> AsyncGenerator[RowBlock, None]:
        """See `port.RowReading`."""
        count = size = 0
        try:
            async with self._uris, aclosing(self._frames(uri)) as found:
                async for frame in found:
                    count += frame.number
                    size += len(frame.payload)
                    self._check_sums(count, size)
                    yield _block(frame)
        except TooLarge as error:
            # Not the request is too large, but the content of its URI.
            raise Invalid(error.detail) from None

    async def _frames(self, uri: str) -> AsyncGenerator[Frame, None]:
        async with aclosing(self._contents(uri)) as contents:
            async for content, job in contents:
                async with aclosing(self._workers.read(content, job)) as found:
                    async for frame in found:
                        yield frame

    async def _contents(self, uri: str) -> AsyncGenerator[tuple[Descriptor, Job], None]:
        """Yields the files of a URI: only one, except for datasets of the hub."""
        limits = self._limits
        match uri.partition(":")[0].lower():
            case "data":
                decoded = await asyncio.to_thread(data_url.decode, uri, limits.max_bytes)
                content = await asyncio.to_thread(of_bytes, decoded.body)
                yield content, self._job(content, "The data: URL", "", decoded.media_type)
            case "lsfs" | "file":
                content = await asyncio.to_thread(self._roots.open, uri)
                yield content, self._job(content, shown_file(uri), uri)
            case "https":
                fetched = await self._fetcher.fetch(
                    uri, max_bytes=limits.max_fetch_bytes, timeout_s=limits.fetch_s, accept=_ACCEPT
                )
                content = await asyncio.to_thread(of_bytes, fetched.body)
                job = self._job(content, shown_url(uri), fetched.url, fetched.media_type)
                # The body is not kept in memory twice while the rows are read.
                del fetched
                yield content, job
            case "huggingface":
                async with aclosing(hub.files(self._workers, uri, limits)) as files:
                    async for content, shown in files:
                        yield content, self._job(content, shown, shown)
            case scheme:
                said = f"the scheme {scheme[:40]!r}" if ":" in uri else "no scheme"
                raise Invalid(f"source.uri has {said}; rows are read from {SCHEMES} URIs.")

    def _job(self, content: Descriptor, shown: str, uri: str, media_type: str = "") -> Job:
        return Job(
            task="file",
            content=content.number,
            limits=self._limits,
            shown=shown,
            name=unquote(urlsplit(uri).path.rpartition("/")[2] or urlsplit(uri).netloc),
            media_type=media_type,
        )

    def _check_sums(self, count: int, size: int) -> None:
        limits = self._limits
        if count > limits.max_rows:
            raise Invalid(
                f"There are more than {limits.max_rows} rows at the URI (setting max_dataset_rows)."
            )
        if size > limits.max_bytes:
            raise Invalid(
                f"The rows at the URI are more than {limits.max_bytes} bytes as JSON (setting max_dataset_bytes)."
            )


def _split(body: bytes, path: tuple[str, ...], limits: ReadLimits) -> SplitBody:
    taken = take(body, path, limits)
    return SplitBody(taken.envelope, list(taken.blocks))


def _block(frame: Frame) -> RowBlock:
    return RowBlock(frame.number, frame.payload)
