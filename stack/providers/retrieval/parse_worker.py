"""Extracts the text of HTML and PDF, in a worker process: such content may be built to exhaust its reader."""

from __future__ import annotations

import io
import logging

import msgspec
from msgspec import Struct

from stack.providers.retrieval.files import FileState, NotText, bytes_of, kind_of, text_of
from stack.providers.retrieval.port import FileKind

MAX_TEXT_CHARACTERS = 32 * 2**20
"""Longer text of a file is refused: a PDF of some kB can contain gigabytes."""
MEMORY_BYTES = 2**30
"""Address space of a worker."""
WAIT_S = 30.0
"""How long a worker may take for one file or document, in seconds."""
EXHAUSTED = f"it needs more than {WAIT_S:g} s or {MEMORY_BYTES >> 20} MiB of memory"


class FileTask(Struct, frozen=True, tag=True):
    """Extract the text of a file of a collection."""

    file: FileState
    max_bytes: int


class ContentTask(Struct, frozen=True, tag=True):
    """Extract the text of a PDF, or of HTML in UTF-8. Longer text than `max_characters` is refused."""

    kind: FileKind
    content: bytes
    max_characters: int


Task = FileTask | ContentTask


class Parsed(Struct, frozen=True, omit_defaults=True):
    """The text, or the problem."""

    text: str = ""
    problem: str = ""


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Parsed).decode
_task = msgspec.msgpack.Decoder(Task).decode


def answer(task: bytes) -> bytes:
    """Returns Parsed, encoded, for an encoded Task."""
    try:
        text = _text(_task(task))
    except NotText as error:
        return encode(Parsed(problem=str(error)))
    except OSError as error:
        return encode(Parsed(problem=f"it cannot be read: {error.strerror}"))
    return encode(Parsed(text.encode("utf-8", "replace").decode()))


def _text(task: Task) -> str:
    match task:
        case FileTask(file=file, max_bytes=max_bytes):
            content = bytes_of(file, max_bytes)
            if kind_of(file) == "pdf":
                return _pdf(content, MAX_TEXT_CHARACTERS)
            return _html(text_of(content))
        case ContentTask(kind="pdf", content=content, max_characters=limit):
            return _pdf(content, limit)
        case ContentTask(content=content, max_characters=limit):
            text = _html(content.decode())
            if not text:
                raise NotText("it has no readable text")
            if len(text) > limit:
                raise _too_long(limit)
            return text
    raise AssertionError("unknown task")


def _too_long(limit: int) -> NotText:
    return NotText(f"its text has more than {limit} characters")


def _html(source: str) -> str:
    from selectolax.lexbor import LexborHTMLParser

    page = LexborHTMLParser(source)
    page.strip_tags(["script", "style", "noscript", "template", "svg", "head"])
    root = page.body or page.root
    lines = [] if root is None else [" ".join(line.split()) for line in _blocks(root).split("\n")]
    return "\n".join(line for line in lines if line)


_BLOCKS = "p, div, section, article, li, tr, br, hr, pre, blockquote, table, ul, ol, dl, dt, dd, h1, h2, h3, h4, h5, h6"


def _blocks(root: object) -> str:
    """Returns the text with a line end after each block: paragraphs must not run together."""
    node = root
    for block in node.css(_BLOCKS):  # type: ignore[attr-defined]
        block.insert_after("\n")
    return str(node.text(deep=True))  # type: ignore[attr-defined]


def _pdf(content: bytes, max_characters: int) -> str:
    import pypdf
    from pypdf.errors import LimitReachedError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    pages: list[str] = []
    left = max_characters
    try:
        reader = pypdf.PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise NotText("it needs a password")
        for page in reader.pages:
            pages.append(page.extract_text())
            left -= len(pages[-1])
            if left < 0:
                raise _too_long(max_characters)
    except (NotText, MemoryError):
        raise
    except LimitReachedError:
        raise NotText("a part of it is too large when it is decompressed") from None
    except Exception as error:
        # A damaged file makes the library fail in many ways.
        raise NotText(f"it is not a readable PDF: {type(error).__name__}") from None
    # Fonts without a table of characters give null characters.
    text = "\n\n".join(page.replace("\0", "").strip() for page in pages).strip()
    if not text:
        raise NotText("it has no text; it may be scanned")
    return text
