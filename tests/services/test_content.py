"""Content of a turn: what is checked, fetched and refused before the turn is opened."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from schemas.events.payload import URL as Url
from schemas.events.payload import ContentItem, Document, ImageSource, InputMessage, ToolResponse
from schemas.events.turn import FetchedContent
from stack.errors import Invalid, ReplaystackError, UpstreamFailed, UpstreamTimeout
from stack.providers.fetch.guarded import GuardedFetcher
from stack.providers.inference.demo_extractive import DemoExtractive
from stack.providers.inference.openai_compatible import OpenAICompatible
from stack.providers.inference.port import InferenceProvider
from stack.providers.inference.settings import InferenceSettings
from stack.providers.retrieval.extraction import TextExtraction
from stack.services.turns.content import MAX_IMAGES, MAX_URLS, ContentLoader
from stack.services.turns.document import MAX_DOCUMENT_BYTES
from stack.services.turns.image import MAX_IMAGE_BYTES
from tests.servers.scripted_https import HttpsServer, running_https
from tests.services.pictures import GIF, JPEG, WEBP, base64_of, data_url, png
from tests.services.turn_states import document, image, image_at, said, text

pytestmark = pytest.mark.anyio


@pytest.fixture
async def server() -> AsyncIterator[HttpsServer]:
    async with running_https() as server:
        yield server


@pytest.fixture
async def sighted() -> AsyncIterator[InferenceProvider]:
    """A provider that takes images."""
    provider = OpenAICompatible(InferenceSettings(id="any", base_url="http://127.0.0.1:9/v1", images=True))
    yield provider
    await provider.aclose()


@pytest.fixture
async def extraction() -> AsyncIterator[TextExtraction]:
    extraction = TextExtraction()
    yield extraction
    await extraction.aclose()


@pytest.fixture
def loader(server: HttpsServer, extraction: TextExtraction) -> ContentLoader:
    return ContentLoader(server.fetcher(inside_example="10.1.2.3"), extraction, fetch_timeout_s=3.0)


async def refused(
    loader: ContentLoader,
    provider: InferenceProvider,
    messages: list[InputMessage],
    documents: list[Document] | None = None,
) -> str:
    with pytest.raises(Invalid) as raised:
        await loader.load(messages, documents, provider)
    return raised.value.detail


async def test_text_needs_nothing(loader: ContentLoader) -> None:
    assert await loader.load(said("Hello", [text("you")]), None, DemoExtractive()) == []
    assert await loader.load(said("Hello"), [document("Some text")], DemoExtractive()) == []


async def test_images_and_documents_are_fetched_once_each(
    server: HttpsServer, loader: ContentLoader, sighted: InferenceProvider
) -> None:
    server.files = {
        "a.png": ("application/octet-stream", png()),
        "b.jpg": ("image/png", JPEG),
        "c.txt": ("text/plain; charset=ISO-8859-1", "Größe".encode("latin-1")),
    }
    a, b, c = (f"{server.base}/file?name={name}" for name in server.files)
    loaded = await loader.load(
        [
            *said([image_at(a), image_at(b), image_at(a)], context=[image_at(b)]),
            InputMessage(role="tool", call_id="c1", content=image_at(a)),
        ],
        [document({"uri": c}), document(c)],
        sighted,
    )
    assert loaded == [
        FetchedContent(a, "image/png", base64_of(png())),
        FetchedContent(b, "image/jpeg", base64_of(JPEG)),
        FetchedContent(c, "text/plain; charset=ISO-8859-1", "Größe"),
    ]
    assert server.connections == 3


async def test_responses_of_tools_are_loaded_too(
    server: HttpsServer, loader: ContentLoader, sighted: InferenceProvider
) -> None:
    server.files = {"a.gif": ("image/gif", GIF)}
    url = f"{server.base}/file?name=a.gif"
    responses = [ToolResponse("c1", "look", "text"), ToolResponse("c2", "look", [image_at(url)])]
    assert await loader.load_responses(responses, sighted) == [
        FetchedContent(url, "image/gif", base64_of(GIF))
    ]
    with pytest.raises(Invalid, match=r"tool_responses\[1\]\.content\[0\]\.image\.url: .* answered 404"):
        await loader.load_responses(
            [responses[0], ToolResponse("c2", "look", [image_at(url + "x")])], sighted
        )


async def test_inline_images_of_all_types_are_taken(
    loader: ContentLoader, sighted: InferenceProvider
) -> None:
    images = [image(body) for body in (png(), JPEG, GIF, WEBP)]
    urls = [
        image_at(data_url(png())),
        image_at(data_url(JPEG, "image/png")),
        image_at(data_url(GIF).rstrip("=")),
    ]
    assert await loader.load(said([*images, *urls]), None, sighted) == []
    large = png(bytes_at_least=MAX_IMAGE_BYTES - 200)
    assert await loader.load(said(image(large)), None, sighted) == []


@pytest.mark.parametrize(
    ("source", "where", "problem"),
    [
        (ImageSource(), "image", "needs either url or data"),
        (ImageSource(url=Url("data:,x"), data="eA=="), "image", "needs either url or data"),
        (ImageSource(data=""), "image.data", "not a PNG, JPEG, GIF or WebP image: it is empty"),
        (ImageSource(data="aGVsbG8="), "image.data", "begins with b'hello'"),
        (ImageSource(data="not base64!"), "image.data", "not base64"),
        (ImageSource(data="aGVsbG8"), "image.data", "not base64"),
        (ImageSource(data="ü" * 8), "image.data", "not base64"),
        (ImageSource(data=data_url(png())), "image.data", "give it as"),
        (ImageSource(data=base64_of(b"%PDF-1.7 and so on")), "image.data", "begins with b'%PDF-1.7"),
        (ImageSource(data=base64_of(b"<svg xmlns=''/>")), "image.data", "<svg"),
        (ImageSource(url=Url("data:image/png;base64,aGVsbG8=")), "image.url", "begins with b'hello'"),
        (ImageSource(url=Url("data:image/png;base64")), "image.url", "no comma"),
        (ImageSource(url=Url("data:image/png;base64,!")), "image.url", "not base64"),
        (ImageSource(url=Url("")), "image.url", "not an https: URL"),
        (ImageSource(url=Url("file:///etc/passwd")), "image.url", "not an https: URL"),
        (ImageSource(url=Url("http://example.org/a.png")), "image.url", "not an https: URL"),
        (ImageSource(url=Url("https://127.0.0.2/")), "image.url", "not on the public internet"),
        (ImageSource(url=Url("https://[::1]/")), "image.url", "not on the public internet"),
        (ImageSource(url=Url("https://169.254.169.254/")), "image.url", "not on the public internet"),
        (ImageSource(url=Url("https://inside.example/")), "image.url", "not on the public internet"),
    ],
)
async def test_what_is_no_image_is_refused_by_name(
    loader: ContentLoader, sighted: InferenceProvider, source: ImageSource, where: str, problem: str
) -> None:
    item = ContentItem(type="image", image=source)
    for content, place in ((item, ""), ([text("See"), item], "[1]")):
        detail = await refused(loader, sighted, said("Hello", content))
        assert detail.startswith(f"messages[1].content{place}.{where}")
        assert problem in detail
    nested = [
        {"type": "image", "image": {"url": {"uri": source.url.uri}} if source.url else {"data": source.data}}
    ]
    if source.url is None or source.data is None:
        detail = await refused(loader, sighted, said("Hello"), [document(nested)])
        assert detail.startswith(f"documents[0].content[0].{where}")


@pytest.mark.slow
async def test_an_image_that_is_too_large_is_refused(
    server: HttpsServer, loader: ContentLoader, sighted: InferenceProvider
) -> None:
    large = png(bytes_at_least=MAX_IMAGE_BYTES)
    for item in (image(large), image_at(data_url(large))):
        assert f"{MAX_IMAGE_BYTES} bytes" in await refused(loader, sighted, said(item))
    detail = await refused(loader, sighted, said(image_at(server.base + "/claimed?bytes=100000000")))
    assert (
        detail
        == f"messages[0].content.image.url: {server.base}/claimed is larger than {MAX_IMAGE_BYTES} bytes."
    )


async def test_a_redirect_to_a_private_address_is_refused(
    server: HttpsServer, loader: ContentLoader, sighted: InferenceProvider
) -> None:
    detail = await refused(
        loader, sighted, said([image_at(server.base + "/redirect?to=https://inside.example/x")])
    )
    assert detail.startswith("messages[0].content[0].image.url: ")
    assert "not on the public internet" in detail
    assert server.connections == 1


@pytest.mark.slow
async def test_there_are_limits_on_numbers_and_on_all_together(
    server: HttpsServer, loader: ContentLoader, sighted: InferenceProvider
) -> None:
    detail = await refused(loader, sighted, said([image(GIF)] * (MAX_IMAGES + 1)))
    assert f"at most {MAX_IMAGES}" in detail
    many = [document(f"{server.base}/file?name={n}") for n in range(MAX_URLS + 1)]
    assert f"at most {MAX_URLS}" in await refused(loader, sighted, said("x"), many)
    server.files = {name: ("image/png", png(bytes_at_least=17 << 20)) for name in ("a", "b")}
    both = [image_at(f"{server.base}/file?name={name}") for name in server.files]
    assert "together" in await refused(loader, sighted, said(both))


async def test_images_for_a_model_that_takes_none_are_refused(
    server: HttpsServer, loader: ContentLoader
) -> None:
    for item in (image(png()), image_at(server.base + "/file?name=a")):
        detail = await refused(loader, DemoExtractive(), said([text("See"), item]))
        assert detail.startswith("messages[0].content[1].image: 'demo'")
        assert "takes no images" in detail
    assert server.connections == 0


@pytest.mark.parametrize(
    ("path", "error"),
    [("/status?code=500", UpstreamFailed), ("/cut", UpstreamFailed), ("/status?code=404", Invalid)],
)
async def test_the_first_failure_ends_all_and_is_told_by_name(
    server: HttpsServer,
    loader: ContentLoader,
    sighted: InferenceProvider,
    path: str,
    error: type[ReplaystackError],
) -> None:
    messages = said([image_at(server.base + "/silent"), image_at(server.base + path)])
    with pytest.raises(error, match=r"messages\[0\]\.content\[1\]\.image\.url: "):
        await loader.load(messages, None, sighted)


async def test_all_urls_together_have_a_time(
    server: HttpsServer, sighted: InferenceProvider, extraction: TextExtraction
) -> None:
    loader = ContentLoader(server.fetcher(), extraction, fetch_timeout_s=30.0, load_timeout_s=0.3)
    with pytest.raises(UpstreamTimeout, match=r"within 0\.3 s"):
        await loader.load(said([image_at(server.base + "/silent")]), None, sighted)
    loader = ContentLoader(server.fetcher(), extraction, fetch_timeout_s=0.3)
    with pytest.raises(UpstreamTimeout, match=r"messages\[0\]\.content\.image\.url"):
        await loader.load(said(image_at(server.base + "/silent")), None, sighted)


def encoded(value: str, charset: str) -> bytes:
    return value.encode(charset)


@pytest.mark.parametrize(
    ("media_type", "body", "expected"),
    [
        ("text/plain", "naïve".encode(), "naïve"),
        ("text/plain; charset=us-ascii", "naïve".encode(), "naïve"),
        ("text/plain; charset=windows-1252", "naïve – “so”".encode("cp1252"), "naïve – “so”"),
        ('text/x-rst; charset="Shift_JIS"', "日本".encode("shift_jis"), "日本"),
        ("text/plain; CHARSET=utf-16", "naïve".encode("utf-16"), "naïve"),
        ("text/plain; charset=latin-1", b"\xef\xbb\xbfna\xc3\xafve", "naïve"),
        ("application/json", b'{"a": 1}', '{"a": 1}'),
        ("application/problem+json", b"{}", "{}"),
        ("application/atom+xml", b"<p/>", "<p/>"),
        ("text/csv", b"a,b\n1,2\n", "a,b\n1,2\n"),
        ("application/octet-stream", b"declared", "declared"),
        ("text/plain", b"", ""),
    ],
)
async def test_documents_are_read_in_their_charset(
    server: HttpsServer, loader: ContentLoader, media_type: str, body: bytes, expected: str
) -> None:
    server.files = {"a": (media_type, body)}
    url = f"{server.base}/file?name=a"
    [loaded] = await loader.load(said("x"), [document({"uri": url}, "text/markdown")], DemoExtractive())
    assert loaded == FetchedContent(url, media_type, expected)
    inline = f"data:{media_type.replace(' ', '')};base64,{base64.b64encode(body).decode()}"
    assert await loader.load(said("x"), [document(inline, "text/markdown")], DemoExtractive()) == []


@pytest.mark.parametrize(
    ("media_type", "body", "problem"),
    [
        ("image/png", png(), "is image/png; documents are text, HTML or PDF"),
        ("text/plain", b"caf\xe9", "is not utf-8 at byte 3"),
        ("text/plain; charset=utf-8", b"\xff\xfe\x00", "is not utf-16"),
        ("text/plain; charset=klingon", b"x", "'klingon', which is unknown"),
        ("text/plain; charset=idna", b"x", "'idna', which is unknown"),
        ("text/plain; charset=rot13", b"x", "'rot13', which is unknown"),
        ("text/plain; charset=unicode_escape", b"x", "which is unknown"),
        ("text/plain", b"a\0b", "null characters"),
    ],
)
async def test_what_is_no_text_is_refused(
    server: HttpsServer, loader: ContentLoader, media_type: str, body: bytes, problem: str
) -> None:
    server.files = {"a": (media_type, body)}
    inline = f"data:{media_type.replace(' ', '')};base64,{base64.b64encode(body).decode()}"
    for url in (f"{server.base}/file?name=a", inline):
        detail = await refused(
            loader, DemoExtractive(), said("x"), [document("fine"), document({"uri": url})]
        )
        assert detail.startswith("documents[1].content: ")
        assert problem in detail


async def test_a_type_that_a_client_did_not_know_is_the_documents_own(loader: ContentLoader) -> None:
    """llama-stack-client writes `data:None;base64,...` for a file whose type it does not know."""
    url = f"data:None;base64,{base64.b64encode(b'a text').decode()}"
    assert await loader.load(said("x"), [document({"uri": url}, "text/markdown")], DemoExtractive()) == []
    refusal = await refused(loader, DemoExtractive(), said("x"), [document({"uri": url}, "image/png")])
    assert "is image/png; documents are text" in refusal


async def test_an_unsaid_type_is_the_documents_own(server: HttpsServer, loader: ContentLoader) -> None:
    server.files = {"a": ("application/octet-stream", b"a text")}
    documents = [document({"uri": f"{server.base}/file?name=a"}, "image/png")]
    assert "is image/png" in await refused(loader, DemoExtractive(), said("x"), documents)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"uri": "http://example.org/a.txt"}, "not an https: URL"),
        ({"uri": "file:///etc/passwd"}, "not an https: URL"),
        ("file:///etc/passwd", "not an https: URL"),
        ("http://example.org/a.txt", "not an https: URL"),
        ("https://10.0.0.1/a.txt", "not on the public internet"),
        ({"uri": 7}, "Expected `str`, got `int`"),
        ({"uri": "https://example.org/", "type": "text"}, 'of a URL it is "url"'),
        ({"uri": "https://example.org/", "more": 1}, "unknown field `more`"),
        ({"type": "url"}, "missing required field `uri`"),
        ({"type": "video"}, "Give text, a list of text and image items, or a URL"),
        (7, "Give text"),
        (None, "Give text"),
        ([["x"]], "Give text"),
    ],
)
async def test_documents_of_other_forms_are_refused(
    loader: ContentLoader, content: Any, problem: str
) -> None:
    detail = await refused(loader, DemoExtractive(), said("x"), [document(content)])
    assert detail.startswith("documents[0].content: ")
    assert problem in detail


@pytest.mark.parametrize(
    "content", ["See https://example.org/", "https://a.example/ https://b.example/", "data: none"]
)
async def test_text_that_mentions_a_url_is_text(loader: ContentLoader, content: str) -> None:
    assert await loader.load(said("x"), [document(content)], DemoExtractive()) == []


async def test_documents_have_limits(server: HttpsServer, loader: ContentLoader) -> None:
    server.files = {"b": ("text/plain", b"a" * (MAX_DOCUMENT_BYTES + 1))}
    demo, base = DemoExtractive(), server.base
    assert await loader.load(said("x"), [document("a" * 1_000_000)] * 2, demo) == []
    detail = await refused(loader, demo, said("x"), [document(f"{base}/file?name=b")])
    assert f"{MAX_DOCUMENT_BYTES} bytes" in detail


async def test_a_url_cannot_be_an_image_and_a_document(
    loader: ContentLoader, sighted: InferenceProvider
) -> None:
    url = "https://files.example/a"
    detail = await refused(loader, sighted, said(image_at(url)), [document(url)])
    assert detail.startswith("documents[0].content: ")


async def test_production_fetches_nothing_from_loopback(
    server: HttpsServer, sighted: InferenceProvider, extraction: TextExtraction
) -> None:
    loader = ContentLoader(GuardedFetcher(), extraction)
    for host in ("127.0.0.1", "localhost", "[::1]", f"127.0.0.1:{server.port}"):
        await refused(
            loader, sighted, [InputMessage(role="user", content=image_at(f"https://{host}/file?name=a"))]
        )
    assert server.connections == 0
