"""Checks and fetches the content to which a turn's input refers, before the turn is opened.

A model server never receives a URL of a caller's choice, because it may reach what its caller must not. This
server fetches the content and records it with the turn, so that the turn's history needs no network.
"""

from __future__ import annotations

import asyncio
import binascii
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from schemas.events.payload import Content, Document, ImageSource, InputMessage, ToolResponse
from schemas.events.turn import FetchedContent
from stack.errors import Invalid, ReplaystackError, Unavailable, UpstreamTimeout
from stack.off_loop import off_loop_if
from stack.providers.fetch import data_url
from stack.providers.fetch.port import Fetcher
from stack.providers.inference.port import InferenceProvider
from stack.providers.retrieval.port import Extraction
from stack.services.turns.document import (
    DOCUMENT,
    MAX_DOCUMENT_BYTES,
    MAX_FILE_BYTES,
    DocumentFile,
    checked_content,
    content_in,
    inline_content,
    posted_characters,
    url_of,
)
from stack.services.turns.image import MAX_IMAGE_BYTES, check_inline, check_type

MAX_IMAGES = 20
MAX_URLS = 40
MAX_FETCHED_BYTES = 32 * 2**20
FETCH_TIMEOUT_S = 20.0
# Limit in seconds for all URLs of a turn together: clients give up after 60 s.
LOAD_TIMEOUT_S = 40.0
# The same for extracting the text of the documents that are PDF or HTML.
EXTRACT_TIMEOUT_S = 60.0
CONCURRENT_FETCHES = 4
# Checking this many bytes takes 0.1 ms; longer content is checked in a thread.
_INLINE_CHARACTERS = 64 * 1024
_BASE64_SLICE_BYTES = 3 * 2**17
_ACCEPT_IMAGE = "image/png,image/jpeg,image/webp,image/gif;q=0.9,*/*;q=0.1"
_ACCEPT_TEXT = (
    "text/markdown,text/plain,text/*;q=0.9,application/json,application/xml,application/pdf;q=0.5,*/*;q=0.1"
)


class _Image(NamedTuple):
    """`where` is the field of the request that contains the image."""

    where: str
    source: ImageSource


class _Remote(NamedTuple):
    """A URL to fetch: that of a document if given, otherwise of an image."""

    where: str
    url: str
    document: Document | None = None


class _Loaded(NamedTuple):
    """Content that was loaded: an image as base64, a text, or a file whose text is to be extracted."""

    where: str
    uri: str
    media_type: str
    content: str | DocumentFile


class ContentLoader:
    """Safe to share. Errors name the field of the request."""

    def __init__(
        self,
        fetcher: Fetcher,
        extraction: Extraction,
        *,
        fetch_timeout_s: float = FETCH_TIMEOUT_S,
        load_timeout_s: float = LOAD_TIMEOUT_S,
        extract_timeout_s: float = EXTRACT_TIMEOUT_S,
    ) -> None:
        self._fetcher = fetcher
        self._extraction = extraction
        self._fetch_timeout_s = fetch_timeout_s
        self._load_timeout_s = load_timeout_s
        self._extract_timeout_s = extract_timeout_s

    async def load(
        self,
        messages: Sequence[InputMessage],
        documents: Sequence[Document] | None,
        provider: InferenceProvider,
    ) -> list[FetchedContent]:
        """Checks the input of a turn and returns the content of its URLs, each once, and the text of the PDF and HTML
        that was posted in its documents.

        Raises Invalid (also for images to a provider without image support), UpstreamFailed, UpstreamTimeout,
        Unavailable.
        """
        return await self._load([*_message_images(messages)], documents or (), provider)

    async def load_responses(
        self, responses: Sequence[ToolResponse], provider: InferenceProvider
    ) -> list[FetchedContent]:
        """Like `load`, for the responses of tools."""
        found = [
            image
            for index, response in enumerate(responses)
            for image in _images(response.content, f"tool_responses[{index}].content")
        ]
        return await self._load(found, (), provider)

    async def _load(
        self, found: list[_Image], documents: Sequence[Document], provider: InferenceProvider
    ) -> list[FetchedContent]:
        for index, document in enumerate(documents):
            found += _document_images(document, index)
        if not found and not documents:
            return []
        _check_sources(found, provider)
        inline = [image for image in found if not _is_remote(image.source)]
        size = sum(_length(image.source) for image in inline)
        await off_loop_if(size > _INLINE_CHARACTERS, _check_inline, inline)
        loaded = await self._fetch([*_image_urls(found), *_document_urls(documents)])
        size = sum(map(posted_characters, documents))
        loaded += await off_loop_if(size > _INLINE_CHARACTERS, _posted_files, documents)
        return await self._extracted(loaded)

    async def _extracted(self, loaded: Sequence[_Loaded]) -> list[FetchedContent]:
        """Extracts the texts of files one after the other: one turn does not occupy all readers."""
        budget = _Budget(
            MAX_FETCHED_BYTES, "The PDF and HTML documents of the turn have more than {} characters."
        )
        contents: list[FetchedContent] = []
        where = ""
        try:
            async with asyncio.timeout(self._extract_timeout_s):
                for where, uri, media_type, content in loaded:
                    if isinstance(content, DocumentFile):
                        with _named(where):
                            content = await self._extraction.text_of(
                                content.kind, content.content, MAX_DOCUMENT_BYTES
                            )
                            budget.spend(len(content))
                    contents.append(FetchedContent(uri, media_type, content))
        except TimeoutError:
            raise Unavailable(
                f"{where}: The PDF and HTML documents were not read within {self._extract_timeout_s:g} s: the server is "
                "busy, or they take too long. Try again, or send fewer, or their text.",
                retry_after=10,
            ) from None
        return contents

    async def _fetch(self, remotes: list[_Remote]) -> list[_Loaded]:
        """Fetches each URL once, a few at a time; the first failure cancels the others."""
        wanted: dict[str, _Remote] = {}
        for remote in remotes:
            known = wanted.setdefault(remote.url, remote)
            if (known.document is None) != (remote.document is None):
                raise Invalid(f"{remote.where}: The URL is given as an image and as a document.")
        if len(wanted) > MAX_URLS:
            raise Invalid(f"The turn refers to {len(wanted)} URLs; at most {MAX_URLS} are fetched.")
        if not wanted:
            return []
        places = asyncio.Semaphore(CONCURRENT_FETCHES)
        budget = _Budget(MAX_FETCHED_BYTES, "The URLs of the turn hold more than {} bytes together.")
        try:
            async with asyncio.timeout(self._load_timeout_s), asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._get(one, places, budget)) for one in wanted.values()]
        except TimeoutError:
            raise UpstreamTimeout(
                f"The URLs of the turn did not all come within {self._load_timeout_s:g} s."
            ) from None
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _get(self, remote: _Remote, places: asyncio.Semaphore, budget: _Budget) -> _Loaded:
        document = remote.document
        async with places:
            with _named(remote.where):
                fetched = await self._fetcher.fetch(
                    remote.url,
                    max_bytes=MAX_FILE_BYTES if document else MAX_IMAGE_BYTES,
                    timeout_s=self._fetch_timeout_s,
                    accept=_ACCEPT_TEXT if document else _ACCEPT_IMAGE,
                )
                budget.spend(len(fetched.body))
                if document is not None:
                    content = await asyncio.to_thread(content_in, fetched, document.mime_type)
                    return _Loaded(remote.where, remote.url, fetched.media_type, content)
                media_type = check_type(fetched.body)
                image = await asyncio.to_thread(_base64, fetched.body)
                return _Loaded(remote.where, remote.url, media_type, image)


class _Budget:
    """`problem` is the message of the error, with a place for the limit."""

    def __init__(self, limit: int, problem: str) -> None:
        self._limit = limit
        self._left = limit
        self._problem = problem

    def spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise Invalid(self._problem.format(self._limit))


def _message_images(messages: Sequence[InputMessage]) -> Iterator[_Image]:
    for index, message in enumerate(messages):
        yield from _images(message.content, f"messages[{index}].content")
        if message.context is not None:
            yield from _images(message.context, f"messages[{index}].context")


def _images(content: Content, where: str) -> Iterator[_Image]:
    if isinstance(content, str):
        return
    for index, item in enumerate(content if isinstance(content, list) else [content]):
        if item.image is not None:
            place = f"{where}[{index}]" if isinstance(content, list) else where
            yield _Image(f"{place}.image", item.image)


def _document_images(document: Document, index: int) -> list[_Image]:
    where = f"documents[{index}].content"
    with _named(where):
        content = checked_content(document)
    return [*_images(content, where)]


def _image_urls(found: Sequence[_Image]) -> Iterator[_Remote]:
    for where, source in found:
        if source.url is not None and _is_remote(source):
            yield _Remote(f"{where}.url", source.url.uri)


def _document_urls(documents: Sequence[Document]) -> Iterator[_Remote]:
    for index, document in enumerate(documents):
        url = url_of(document)
        if url and not data_url.is_data_url(url):
            yield _Remote(f"documents[{index}].content", url, document)


def _check_sources(found: Sequence[_Image], provider: InferenceProvider) -> None:
    if found and not provider.capabilities.images:
        raise Invalid(
            f"{found[0].where}: {provider.id!r}, which serves the agent's model, takes no images. Leave it out, "
            "or use an agent with a model that does."
        )
    if len(found) > MAX_IMAGES:
        raise Invalid(f"The turn holds {len(found)} images; it may hold at most {MAX_IMAGES}.")
    for where, source in found:
        if (source.url is None) == (source.data is None):
            raise Invalid(f"{where} needs either url or data.")


def _check_inline(found: Sequence[_Image]) -> None:
    for where, source in found:
        with _named(f"{where}.{'url' if source.url else 'data'}"):
            check_inline(source)


def _posted_files(documents: Sequence[Document]) -> list[_Loaded]:
    """Returns the files in `data:` URLs of documents, and checks those that are text."""
    files: list[_Loaded] = []
    for number, document in enumerate(documents, 1):
        where = f"documents[{number - 1}].content"
        with _named(where):
            url = url_of(document)
            content = inline_content(url, document.mime_type) if data_url.is_data_url(url) else ""
        if isinstance(content, DocumentFile):
            files.append(_Loaded(where, f"{DOCUMENT}{number}", content.media_type, content))
    return files


def _is_remote(source: ImageSource) -> bool:
    return source.url is not None and not data_url.is_data_url(source.url.uri)


def _length(source: ImageSource) -> int:
    return len(source.data or "") + (len(source.url.uri) if source.url else 0)


@contextmanager
def _named(where: str) -> Iterator[None]:
    """Adds the name of the field to errors."""
    try:
        yield
    except ReplaystackError as error:
        raise type(error)(f"{where}: {error.detail}") from None


def _base64(body: bytes) -> str:
    """Encodes in slices, because encoding holds the GIL."""
    view = memoryview(body)
    pieces = [
        binascii.b2a_base64(view[start : start + _BASE64_SLICE_BYTES], newline=False)
        for start in range(0, len(view), _BASE64_SLICE_BYTES)
    ]
    return b"".join(pieces).decode("ascii")
