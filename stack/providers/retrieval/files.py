"""Finds the files of a collection, and reads those that are text."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from msgspec import Struct

from stack.providers.retrieval.settings import CollectionSettings

MAX_FILES = 100_000
MAX_DEPTH = 64
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class FileState(Struct, frozen=True):
    """A file and what tells that it has changed. `name` is its path below the collection's."""

    name: str
    path: str
    size: int
    changed_ns: int


class NotText(Exception):
    """The file's content cannot be indexed. The message says why."""


def files_of(settings: CollectionSettings) -> list[FileState]:
    """Returns the regular files that are included, sorted by name; no links, and nothing whose name begins with a dot.
    At most 100,000. Raises OSError if the folder cannot be read."""
    found: list[FileState] = []
    with os.scandir(settings.path):
        # A folder that cannot be read is an error; one below it is not.
        pass
    for entry, name in _walk(settings.path, "", MAX_DEPTH):
        if any(fnmatch(name if "/" in pattern else entry.name, pattern) for pattern in settings.include):
            state = entry.stat(follow_symlinks=False)
            found.append(FileState(name, entry.path, state.st_size, state.st_mtime_ns))
            if len(found) == MAX_FILES:
                break
    return sorted(found, key=lambda file: file.name)


def _walk(folder: str, prefix: str, depth: int) -> Iterator[tuple[os.DirEntry[str], str]]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_file(follow_symlinks=False):
            yield entry, prefix + entry.name
        elif entry.is_dir(follow_symlinks=False) and depth:
            yield from _walk(entry.path, f"{prefix}{entry.name}/", depth - 1)


def bytes_of(file: FileState, max_bytes: int) -> bytes:
    """Raises NotText for a file that is empty or too large, OSError."""
    if file.size > max_bytes:
        raise NotText(f"it has {file.size} bytes, more than max_file_bytes ({max_bytes})")
    descriptor = os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as opened:  # noqa: PTH123
        content = opened.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise NotText(f"it has more than max_file_bytes ({max_bytes})")
    if not content:
        raise NotText("it is empty")
    return content


def text_of(content: bytes) -> str:
    """Returns the text: UTF-8, or what its byte order mark says. Raises NotText."""
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise NotText(f"it is not {encoding} at byte {error.start}. Convert it to UTF-8") from None
    if "\0" in text:
        raise NotText("it is binary")
    return text


def kind_of(file: FileState) -> str:
    """Returns how a file is read, by its name: text, html or pdf."""
    suffix = Path(file.name).suffix.lower()
    return {".pdf": "pdf", ".html": "html", ".htm": "html", ".xhtml": "html"}.get(suffix, "text")
