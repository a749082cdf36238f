"""PDF and HTML documents of a turn: their text is what is recorded, and what cannot be read is refused by name."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from schemas.events.payload import Document
from schemas.events.turn import FetchedContent
from stack.errors import Invalid, Unavailable
from stack.providers.inference.demo_extractive import DemoExtractive
from stack.providers.retrieval.extraction import TextExtraction
from stack.providers.retrieval.parse_worker import ContentTask, answer, decode, encode
from stack.services.turns import content
from stack.services.turns.content import ContentLoader
from stack.services.turns.document import context_items
from tests.servers.scripted_https import HttpsServer, running_https
from tests.services.pdfs import PAGE_LOOP, endless_pdf, inflating_pdf, pdf, verbose_pdf
from tests.services.turn_states import document, said

pytestmark = pytest.mark.anyio

FERRY = pdf("The ferry leaves at noon.", "It returns at five.")
FERRY_TEXT = "The ferry leaves at noon.\n\nIt returns at five."
PAGE = (
    "<html><head><title>No</title></head><body><h1>Tides</h1><p>High tide<br>is at <b>six</b>.</p>"
    "<script>hidden()</script></body></html>"
)
PAGE_TEXT = "Tides\nHigh tide\nis at six."


@pytest.fixture
async def server() -> AsyncIterator[HttpsServer]:
    async with running_https() as server:
        yield server


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def extraction() -> AsyncIterator[TextExtraction]:
    extraction = TextExtraction()
    yield extraction
    await extraction.aclose()


@pytest.fixture
def loader(server: HttpsServer, extraction: TextExtraction) -> ContentLoader:
    return ContentLoader(server.fetcher(), extraction)


def at(body: bytes, media_type: str = "application/pdf") -> str:
    return f"data:{media_type};base64,{base64.b64encode(body).decode()}"


async def load(loader: ContentLoader, documents: Sequence[Document]) -> list[FetchedContent]:
    return await loader.load(said("x"), documents, DemoExtractive())


async def refused(loader: ContentLoader, documents: Sequence[Document]) -> str:
    with pytest.raises(Invalid) as raised:
        await load(loader, documents)
    return raised.value.detail


async def test_the_text_is_recorded_with_the_reported_type(
    server: HttpsServer, loader: ContentLoader
) -> None:
    latin = '<p>Größe</p><p style="x">&lt;b&gt;</p>'.encode("latin-1")
    server.files = {
        "ferry": ("application/pdf", FERRY),
        "file": ("application/octet-stream", FERRY),
        "page": ("text/html; charset=ISO-8859-1", latin),
    }
    ferry, file, page = (f"{server.base}/file?name={name}" for name in server.files)
    documents = [
        document({"uri": ferry}),
        document(file),
        document({"uri": page}, "application/pdf"),
        document("plain"),
        document(f"  {at(FERRY)}\n", "text/plain"),
        document({"uri": at(FERRY, "None")}, "application/octet-stream"),
        document({"uri": f"data:application/xhtml+xml,{PAGE}", "type": "url"}),
        document({"uri": at(b"as it is", "text/css")}),
        document({"uri": ferry}),
    ]
    fetched = await load(loader, documents)
    assert fetched == [
        FetchedContent(ferry, "application/pdf", FERRY_TEXT),
        FetchedContent(file, "application/octet-stream", FERRY_TEXT),
        FetchedContent(page, "text/html; charset=ISO-8859-1", "Größe\n<b>"),
        FetchedContent("document:5", "application/pdf", FERRY_TEXT),
        FetchedContent("document:6", "application/octet-stream", FERRY_TEXT),
        FetchedContent("document:7", "application/xhtml+xml", PAGE_TEXT),
    ]
    items = [*context_items(documents, {one.uri: one for one in fetched})]
    ferry_text, page_text = FERRY_TEXT, "Größe\n<b>"
    expected = [ferry_text, ferry_text, page_text, "plain", ferry_text, ferry_text, PAGE_TEXT, "as it is"]
    assert items[1::3] == [*expected, ferry_text]


@pytest.mark.parametrize(
    ("url", "mime_type", "items"),
    [
        (f"data:text/html,{PAGE}", "text/html", [PAGE]),
        (at(b"%PDF- in a text", "application/octet-stream"), "text/plain", ["%PDF- in a text"]),
        (at(FERRY), "application/pdf", []),
    ],
)
def test_turns_without_extracted_text_are_read_as_before(url: str, mime_type: str, items: list[str]) -> None:
    for given in (url, {"uri": url}):
        _, *between, _ = context_items([document(given, mime_type)], {})
        assert between == items


UNREADABLE: dict[str, tuple[str, bytes, str]] = {
    "scanned": ("application/pdf", pdf(""), "no text; it may be scanned"),
    "no pages": ("application/pdf", pdf(), "no text"),
    "locked": ("application/pdf", pdf("secret", password="pass"), "needs a password"),
    "broken": ("application/pdf", b"%PDF-1.7\nbroken", "not a readable PDF"),
    "cut": ("application/pdf", FERRY[:-300], "not a readable PDF"),
    "empty": ("application/pdf", b"", "not a readable PDF"),
    "a page": ("application/pdf", PAGE.encode(), "not a readable PDF"),
    "page loop": ("application/pdf", PAGE_LOOP, "not a readable PDF"),
    "inflating": ("application/pdf", inflating_pdf(2**28), "too large when it is decompressed"),
    "script": ("text/html", b"<script>x()</script>", "The HTML cannot be read: it has no readable text"),
    "binary": ("text/html", b"<p>\0</p>", "null characters"),
    "not utf-8": ("text/html", b"<p>caf\xe9</p>", "not utf-8 at byte 6"),
}


@pytest.mark.parametrize("name", UNREADABLE)
async def test_what_has_no_text_is_refused_by_name(
    server: HttpsServer, loader: ContentLoader, name: str
) -> None:
    media_type, body, problem = UNREADABLE[name]
    server.files = {"a": (media_type, body)}
    for url in (f"{server.base}/file?name=a", at(body, media_type)):
        detail = await refused(loader, [document({"uri": at(FERRY)}), document({"uri": url})])
        assert detail.startswith("documents[1].content: ") and problem in detail


async def test_a_pdf_with_restrictions_is_read(loader: ContentLoader) -> None:
    for algorithm in ("RC4-128", "AES-128", "AES-256"):
        body = pdf("open", owner="printing is not allowed", algorithm=algorithm)
        [loaded] = await load(loader, [document({"uri": at(body)})])
        assert loaded.data == "open"


async def test_there_are_limits(
    server: HttpsServer, loader: ContentLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "MAX_DOCUMENT_BYTES", 60)
    monkeypatch.setattr(content, "MAX_FETCHED_BYTES", 100)
    monkeypatch.setattr(content, "MAX_FILE_BYTES", 3000)
    fits = document({"uri": at(FERRY)})
    assert len(await load(loader, [fits] * 2)) == 2
    detail = await refused(loader, [fits] * 3)
    assert detail.startswith("documents[2].content: ") and "more than 100 characters" in detail
    long = document({"uri": at(verbose_pdf(2 * 10_000))})
    assert "its text has more than 60 characters" in await refused(loader, [fits, long])
    page = document({"uri": at(b"<p>" + b"a" * 61, "text/html")})
    assert "its text has more than 60 characters" in await refused(loader, [page])
    server.files = {"a": ("application/pdf", bytes(3001))}
    large = document({"uri": f"{server.base}/file?name=a"})
    assert "is larger than 3000 bytes" in await refused(loader, [large])


async def test_what_does_not_end_is_refused_and_holds_up_nothing(server: HttpsServer) -> None:
    extraction = TextExtraction(quick_s=0.5, wait_s=1.0)
    loader = ContentLoader(server.fetcher(), extraction)
    endless = [document("first"), document({"uri": at(endless_pdf())})]
    waiting = [asyncio.create_task(refused(loader, endless)) for _ in range(3)]
    for one in waiting:
        detail = await one
        assert detail.startswith("documents[1].content: ") and "takes more than 1 s" in detail
    await extraction.aclose()
    with pytest.raises(Unavailable):
        await load(loader, endless)


async def test_a_server_that_is_busy_says_so(server: HttpsServer, extraction: TextExtraction) -> None:
    loader = ContentLoader(server.fetcher(), extraction, extract_timeout_s=0.1)
    with pytest.raises(Unavailable, match=r"^documents\[0\]\.content: .* within 0\.1 s"):
        await load(loader, [document({"uri": at(endless_pdf())})])


def worker_says(**changes: Any) -> str:
    task = ContentTask(**{"kind": "pdf", "content": FERRY, "max_characters": 1000, **changes})
    parsed = decode(answer(encode(task)))
    return parsed.problem or parsed.text


def test_the_worker_answers_with_the_text_or_the_problem() -> None:
    assert worker_says() == FERRY_TEXT
    assert worker_says(max_characters=30) == "its text has more than 30 characters"
    assert worker_says(kind="html", content=PAGE.encode()) == PAGE_TEXT
    assert worker_says(kind="html", content=b"<p>long</p>", max_characters=3) == (
        "its text has more than 3 characters"
    )
