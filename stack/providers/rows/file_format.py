"""Determines the format of a content by its name, its media type, or its beginning."""

from __future__ import annotations

from typing import Literal

from stack.errors import Invalid
from stack.providers.rows.content import Content

Format = Literal["csv", "tsv", "json", "jsonl", "parquet"]

KNOWN = "CSV, JSON (an array of objects), JSONL and Parquet"

_EXTENSIONS: dict[str, Format] = {
    "csv": "csv",
    "tsv": "tsv",
    "tab": "tsv",
    "json": "json",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "parquet": "parquet",
    "pq": "parquet",
}
# In `data:` URLs a format name takes the place of the media type.
_MEDIA_TYPES: dict[str, Format] = _EXTENSIONS | {
    "text/csv": "csv",
    "application/csv": "csv",
    "text/tab-separated-values": "tsv",
    "application/json": "json",
    "text/json": "json",
    "application/jsonl": "jsonl",
    "application/x-jsonl": "jsonl",
    "application/jsonlines": "jsonl",
    "application/x-jsonlines": "jsonl",
    "application/json-lines": "jsonl",
    "application/x-ndjson": "jsonl",
    "application/ndjson": "jsonl",
    "text/jsonl": "jsonl",
    "application/vnd.apache.parquet": "parquet",
    "application/x-parquet": "parquet",
    "application/parquet": "parquet",
}
_FOREIGN = {
    b"PK\x03\x04": "a ZIP archive or a workbook",
    b"BZh": "packed with bzip2",
    b"\xfd7zXZ\x00": "packed with xz",
    b"\x28\xb5\x2f\xfd": "packed with zstd",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"ARROW1": "an Arrow file",
    b"%PDF": "a PDF",
}
PARQUET = b"PAR1"
_HEAD_BYTES = 4096
_SPACE = b" \t\r\n\xef\xbb\xbf"


def format_of(content: Content, name: str, media_type: str) -> Format:
    """Raises Invalid for an unknown format. An unambiguous beginning takes precedence; then the extension,
    because servers label types loosely."""
    head = content.head(_HEAD_BYTES)
    if head.startswith(PARQUET):
        if content.is_packed:
            raise Invalid(
                f"{content.shown} is Parquet within gzip. Parquet is packed in itself: send it as it is."
            )
        return "parquet"
    for magic, kind in _FOREIGN.items():
        if head.startswith(magic):
            raise Invalid(f"{content.shown} is {kind}; {KNOWN} in UTF-8 are read, plain or with gzip.")
    plain_type = media_type.partition(";")[0].strip().lower()
    stem = name.lower().removesuffix(".gz")
    by_name = _EXTENSIONS.get(stem.rpartition(".")[2]) if "." in stem else None
    start = head.lstrip(_SPACE)
    if plain_type in ("text/html", "application/xhtml+xml") and start.startswith(b"<"):
        raise Invalid(f"{content.shown} is a web page; a URL must lead to the content itself.")
    found = by_name or _MEDIA_TYPES.get(plain_type) or _by_content(head, start)
    if found is None:
        raise Invalid(
            f"{content.shown} is none of {KNOWN}, as far as it shows. Name the format by the extension or the media "
            "type."
        )
    return found


def _by_content(head: bytes, start: bytes) -> Format | None:
    if start[:1] in (b"[", b"{"):
        return "json"
    [first, *_] = head.splitlines() or [b""]
    if b"\0" not in head and any(first.count(separator) for separator in (b",", b";", b"\t", b"|")):
        return "csv"
    return None
