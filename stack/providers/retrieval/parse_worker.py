"""Extracts the text of HTML and PDF files, in a worker process: such files may be built to exhaust their reader."""

from __future__ import annotations

import io
import logging

import msgspec
from msgspec import Struct

from stack.providers.retrieval.files import FileState, NotText, bytes_of, kind_of, text_of

MAX_TEXT_CHARACTERS = 32 * 2**20
"""Longer text is refused: a PDF of some kB can contain gigabytes."""


class Task(Struct, frozen=True):
    file: FileState
    max_bytes: int


class Parsed(Struct, frozen=True, omit_defaults=True):
    """The text, or the problem."""

    text: str = ""
    problem: str = ""


_decode = msgspec.json.Decoder(Task).decode
_encode = msgspec.json.Encoder().encode


def answer(task: bytes) -> bytes:
    asked = _decode(task)
    try:
        content = bytes_of(asked.file, asked.max_bytes)
        text = _pdf(content) if kind_of(asked.file) == "pdf" else _html(text_of(content))
    except NotText as error:
        return _encode(Parsed(problem=str(error)))
    except OSError as error:
        return _encode(Parsed(problem=f"it cannot be read: {error.strerror}"))
    return _encode(Parsed(text.encode("utf-8", "replace").decode()))


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


def _pdf(content: bytes) -> str:
    import pypdf

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    pages: list[str] = []
    left = MAX_TEXT_CHARACTERS
    try:
        reader = pypdf.PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise NotText("it needs a password")
        for page in reader.pages:
            pages.append(page.extract_text())
            left -= len(pages[-1])
            if left < 0:
                raise NotText(f"its text has more than {MAX_TEXT_CHARACTERS} characters")
    except (NotText, MemoryError):
        raise
    except Exception as error:
        # A damaged file makes the library fail in many ways.
        raise NotText(f"it is not a readable PDF: {type(error).__name__}") from None
    text = "\n\n".join(page.strip() for page in pages).strip()
    if not text:
        raise NotText("it has no text; it may be scanned")
    return text
