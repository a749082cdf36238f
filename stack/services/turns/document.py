"""Converts documents to text: inline ones, or the content of a URL of any type and charset."""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby

import msgspec
from msgspec import UNSET, Struct, UnsetType

from schemas.api.content import InterleavedContent
from schemas.events.payload import Content, ContentItem, Document
from schemas.events.turn import FetchedContent
from stack.domain import payload
from stack.errors import Invalid
from stack.providers.fetch import data_url
from stack.providers.fetch.port import Fetched
from stack.providers.retrieval.port import FileKind, Passage

MAX_DOCUMENT_BYTES = 4 * 2**20
MAX_FILE_BYTES = 20 * 2**20
"""The largest PDF or HTML; the text in it may have MAX_DOCUMENT_BYTES characters."""
DOCUMENT = "document:"
"""The beginning of the name of a document of a turn; its number follows, from 1."""

CLOSING = "</document>"

Item = str | ContentItem

# A document that consists of a URL means the URL's content; existing clients attach files in this way.
_URL = re.compile(r"(https?|file|ftp|mcp)://[^\s<>\"]{1,8192}", re.IGNORECASE)
_DATA_URL = re.compile(r"data:[^,\s]{0,1000},", re.IGNORECASE)
_TEXT_TYPES = frozenset(
    f"application/{name}"
    for name in (
        "json",
        "ld+json",
        "jsonl",
        "x-ndjson",
        "ndjson",
        "xml",
        "yaml",
        "x-yaml",
        "toml",
        "javascript",
        "x-javascript",
        "ecmascript",
        "typescript",
        "sql",
        "graphql",
        "csv",
        "x-sh",
        "x-tex",
        "x-python",
        "x-httpd-php",
        "markdown",
    )
)
_FILES: Mapping[str, FileKind] = {
    "application/pdf": "pdf",
    "application/x-pdf": "pdf",
    "text/html": "html",
    "application/xhtml+xml": "html",
}
_PDF_MARK = b"%PDF-"
_UNSAID_TYPES = ("", "application/octet-stream", "binary/octet-stream", "application/x-download")
# Python has codecs that are not charsets of texts; two of them take quadratic time.
_CHARSET = re.compile(
    r"ascii|utf-8|utf-8-sig|utf-16(-[bl]e)?|utf-32(-[bl]e)?|iso8859-\d+|cp\d+|koi8-[rtu]|kz1048|mac-\w+|tis-620|"
    r"shift_jis\w*|euc_\w+|iso2022_\w+|gb2312|gbk|gb18030|hz|big5\w*|johab"
)
_CHARSET_PARAMETER = re.compile(r";\s*charset\s*=\s*[\"']?([^\s\"';]{1,40})", re.IGNORECASE)
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class _Reference(Struct):
    uri: str
    type: str | UnsetType = UNSET


class _RequestedReference(_Reference, forbid_unknown_fields=True):
    pass


def checked_content(document: Document) -> Content:
    """Returns the content of a document as posted; empty if it is a URL. Raises Invalid for content of an
    invalid type, for a malformed URL object, and for unknown fields in them."""
    if url_of(document, _RequestedReference):
        return ""
    try:
        return payload.content(msgspec.convert(document.content, InterleavedContent))
    except msgspec.ValidationError as error:
        raise Invalid(f"{error}. Give text, a list of text and image items, or a URL.") from None


def url_of(document: Document, form: type[_Reference] = _Reference) -> str:
    """Returns the URL of the document's text; empty for a document that contains its text. Raises Invalid for
    a malformed URL object."""
    content = document.content
    if isinstance(content, dict) and ("uri" in content or content.get("type") == "url"):
        try:
            reference = msgspec.convert(content, form)
        except msgspec.ValidationError as error:
            raise Invalid(f'{error}. A URL is {{"uri": "https://..."}}.') from None
        if reference.type not in (UNSET, "url"):
            raise Invalid(f'The type is {reference.type!r}; of a URL it is "url".')
        return reference.uri
    if isinstance(content, str):
        plain = content.strip()
        if _URL.fullmatch(plain) or _DATA_URL.match(plain):
            return plain
    return ""


class DocumentFile(Struct, frozen=True):
    """A document whose text is to be extracted: a PDF, or HTML in UTF-8, with the media type as reported."""

    kind: FileKind
    media_type: str
    content: bytes


def inline_content(url: str, declared: str) -> str | DocumentFile:
    """Like `content_in`, of a `data:` URL."""
    return content_in(data_url.decode(url, MAX_FILE_BYTES), declared)


def content_in(fetched: Fetched, declared: str) -> str | DocumentFile:
    """Returns the text of content, or the file from which it is to be extracted. The reported type takes precedence;
    `declared` is the document's type, for servers that do not know it. Raises Invalid for text that is too large, and for
    content of other types."""
    file_kind = _FILES.get(_type_of(fetched, declared))
    if (
        file_kind is None
        and _kind(fetched.media_type) in _UNSAID_TYPES
        and fetched.body.startswith(_PDF_MARK)
    ):
        file_kind = "pdf"
    if file_kind == "pdf":
        return DocumentFile("pdf", fetched.media_type, fetched.body)
    if file_kind is None and len(fetched.body) > MAX_DOCUMENT_BYTES:
        raise Invalid(f"The text is larger than {MAX_DOCUMENT_BYTES} bytes.")
    text = text_of(fetched, declared)
    return DocumentFile("html", fetched.media_type, text.encode()) if file_kind == "html" else text


def _type_of(fetched: Fetched, declared: str) -> str:
    kind = _kind(fetched.media_type)
    return _kind(declared) if kind in _UNSAID_TYPES else kind


def text_of(fetched: Fetched, declared: str) -> str:
    """Returns the text of content as it is, also of HTML. Raises Invalid for content that is not text."""
    kind = _type_of(fetched, declared)
    if not is_text_type(kind):
        raise Invalid(
            f"The content is {kind or 'of an unknown type'}; documents are text, HTML or PDF. Send its text."
        )
    parameter = _CHARSET_PARAMETER.search(fetched.media_type)
    charset = _charset(fetched.body, parameter[1] if parameter else "")
    try:
        text = fetched.body.decode(charset)
    except UnicodeDecodeError as error:
        raise Invalid(f"The content is not {charset} at byte {error.start}. Send it as UTF-8.") from None
    if "\0" in text:
        raise Invalid("The content holds null characters: it is not text.")
    return text


def _kind(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()


def is_text_type(kind: str) -> bool:
    return kind.startswith("text/") or kind in _TEXT_TYPES or kind.endswith(("+json", "+xml", "+yaml"))


def _charset(body: bytes, said: str) -> str:
    """A byte order mark takes precedence over the server's charset, as in browsers."""
    for mark, charset in _BYTE_ORDER_MARKS:
        if body.startswith(mark):
            return charset
    try:
        name = codecs.lookup(said or "utf-8").name
    except LookupError:
        name = ""
    if not _CHARSET.fullmatch(name):
        raise Invalid(f"The content has the charset {said[:40]!r}, which is unknown. Send it as UTF-8.")
    return "utf-8" if name == "ascii" else name


def context_items(
    documents: Sequence[Document], fetched: Mapping[str, FetchedContent], retrieved: Collection[int] = ()
) -> Iterable[Item]:
    """Yields the documents of a turn, each between tags and numbered from 1, as the model receives them; those with the
    numbers `retrieved` without their text. Never raises: content that is no longer available is left out."""
    for number, document in enumerate(documents, 1):
        items = _items(number, document, fetched)
        if number in retrieved:
            items = [item for item in items if not _text_in(item)]
            if not items:
                continue
        yield _opening(number, document)
        yield from items
        yield CLOSING


def text_in_documents(documents: Sequence[Document], fetched: Mapping[str, FetchedContent]) -> list[str]:
    """Returns the text of each document."""
    return [
        "\n".join(map(_text_in, _items(number, document, fetched)))
        for number, document in enumerate(documents, 1)
    ]


def posted_characters(document: Document) -> int:
    """Returns how long the text or the URL of a document is, as it was posted."""
    content = document.content
    if isinstance(content, dict):
        content = content.get("uri")
    return len(content) if isinstance(content, str) else 0


def long_documents(lengths: Sequence[int], max_characters: int) -> tuple[int, ...]:
    """Returns the numbers (from 1) of the documents that are too long for a context of `max_characters`: all but the
    shortest ones that fit together."""
    left = max_characters
    found = []
    for number in sorted(range(len(lengths)), key=lambda number: lengths[number]):
        left -= lengths[number]
        if left < 0:
            found.append(number + 1)
    return tuple(sorted(found))


def document_numbers(names: Iterable[str]) -> tuple[int, ...]:
    """Returns the numbers in the names of documents of a turn, without names of anything else."""
    numbers = [name.removeprefix(DOCUMENT) for name in names if name.startswith(DOCUMENT)]
    return tuple(int(number) for number in numbers if number.isdigit())


def passages_text(passages: Sequence[Passage], documents: Sequence[Document]) -> str:
    """Returns the passages of documents as the model receives them: like documents, with `[...]` for what was left out.
    The `document_id` of a passage is its document's number."""
    parts: list[str] = []
    for number, group in groupby(passages, key=lambda passage: int(passage.document_id)):
        texts = [passage.text.strip() for passage in group]
        parts += [_opening(number, documents[number - 1]), "\n[...]\n".join(texts), CLOSING]
    return "\n".join(parts)


def _opening(number: int, document: Document) -> str:
    return f'<document index="{number}" type={_quoted(document.mime_type)}>'


def _text_in(item: Item) -> str:
    return item if isinstance(item, str) else item.text or ""


def _items(number: int, document: Document, fetched: Mapping[str, FetchedContent]) -> Iterable[Item]:
    if (extracted := fetched.get(f"{DOCUMENT}{number}")) is not None:
        return [extracted.data]
    try:
        url = url_of(document)
        if not url:
            content = msgspec.convert(document.content, Content)
            return content if isinstance(content, list) else [content]
        if data_url.is_data_url(url):
            return [text_of(data_url.decode(url, MAX_DOCUMENT_BYTES), document.mime_type)]
    except (Invalid, msgspec.ValidationError):
        return []
    return [fetched[url].data] if url in fetched else []


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()
