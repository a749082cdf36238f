"""Datasets of the Hugging Face hub: `huggingface://owner/name?split=...`, read from their Parquet files."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from stack.errors import Invalid
from stack.providers.rows.frames import HubJob, Listing
from stack.providers.rows.process import Ask, Workers, process_limits
from stack.providers.rows.settings import ReadLimits
from stack.workers.descriptor import Descriptor
from stack.workers.process import Spec

MODULE = "stack.providers.rows.hub_worker"
_REPOSITORY = re.compile(r"(?:[\w.-]{1,96}/)?[\w.-]{1,96}", re.ASCII)
_PARAMETERS = {"split": "split", "config": "config", "name": "config", "revision": "revision"}
# Variables that the hub's library and its HTTP client read.
_VARIABLE = re.compile(
    r"HF_\w+|HUGGING\w+|HOME|XDG_CACHE_HOME|(?:HTTPS?|ALL|NO)_PROXY|SSL_CERT_\w+|REQUESTS_CA_BUNDLE",
    re.IGNORECASE,
)
_ALWAYS = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    # The library keeps downloads in its own cache.
    "HF_HUB_DISABLE_XET": "1",
}


async def files(
    workers: Workers, uri: str, limits: ReadLimits
) -> AsyncGenerator[tuple[Descriptor, str], None]:
    """Yields the files of a split one after the other, with their names. Only one is on the disk at a time.
    Raises Invalid, UpstreamFailed, UpstreamTimeout."""
    job = parsed(uri, limits)
    _require_library(job.shown)
    folder = Path(tempfile.mkdtemp(prefix="replaystack-rows-"))
    job = msgspec.structs.replace(job, folder=str(folder))
    variables = {name: value for name, value in os.environ.items() if _VARIABLE.fullmatch(name)} | _ALWAYS
    spec = Spec(module=MODULE, limits=process_limits(limits, limits.max_bytes), variables=variables)
    try:
        async with workers.worker(spec, job.shown) as ask:
            listing = msgspec.json.decode(await _answer(ask, job), type=Listing)
            for path in listing.paths:
                wanted = msgspec.structs.replace(job, revision=listing.commit, path=path)
                file = folder / (await _answer(ask, wanted)).decode()
                yield await asyncio.to_thread(_taken, file), f"{job.shown}: {file.name}"
    finally:
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))


def parsed(uri: str, limits: ReadLimits) -> HubJob:
    """Parses a URI. Raises Invalid; the URI's query is not included in messages."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        raise Invalid(
            "source.uri is not a URI; a dataset of the hub is huggingface://owner/name?split=..."
        ) from None
    repository = unquote(parts.netloc + parts.path).strip("/")
    if repository.count("/") == 2:
        repository = repository.removeprefix("datasets/")
    if not _REPOSITORY.fullmatch(repository):
        raise Invalid("source.uri names no dataset of the hub; it is huggingface://owner/name?split=...")
    said: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        field = _PARAMETERS.get(name)
        if field is None or field in said:
            known = "split, config (or name) and revision, each once"
            raise Invalid(f"source.uri has the parameter {name[:40]!r}; a dataset of the hub takes {known}.")
        said[field] = value
    return HubJob(repository=repository, shown=f"huggingface://{repository}", limits=limits, **said)


async def _answer(ask: Ask, job: HubJob) -> bytes:
    async with aclosing(ask(msgspec.json.encode(job))) as found:
        [payload] = [frame.payload async for frame in found]
    return payload


def _require_library(shown: str) -> None:
    if importlib.util.find_spec("huggingface_hub") is None:
        raise Invalid(
            f"{shown}: this server cannot read from the hub. Install it with its extra: "
            "pip install 'replaystack[huggingface]'."
        )


def _taken(path: Path) -> Descriptor:
    """Opens the file and removes its name: it is deleted when its last reader closes it."""
    file = Descriptor(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
    path.unlink()
    return file
