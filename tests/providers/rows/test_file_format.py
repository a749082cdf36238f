"""A format is told by what cannot be mistaken, then the name, the media type, the beginning."""

from __future__ import annotations

import gzip

import pytest

from stack.errors import Invalid
from stack.providers.rows.file_format import format_of
from tests.providers.rows.contents import content_of


@pytest.mark.parametrize(
    ("data", "name", "media_type", "expected"),
    [
        (b"a,b", "x.csv", "", "csv"),
        (b"a,b", "X.CSV", "text/plain", "csv"),
        (b"a\tb", "x.tsv", "", "tsv"),
        (b"[]", "x.json", "", "json"),
        (b"{}", "x.jsonl", "application/json", "jsonl"),
        (b"{}", "x.ndjson.gz", "", "jsonl"),
        (gzip.compress(b"a,b", mtime=0), "x.csv.gz", "application/gzip", "csv"),
        (b"PAR1....", "x.csv", "text/csv", "parquet"),
        (b"a,b", "", "text/csv; charset=utf-8", "csv"),
        (b"a,b", "download", "Text/CSV", "csv"),
        (b"{}", "", "application/x-ndjson", "jsonl"),
        (b"x", "", "csv", "csv"),
        (b"x", "", "jsonl", "jsonl"),
        (b'\xef\xbb\xbf [{"a":1}]', "", "application/octet-stream", "json"),
        (b'{"a":1}', "", "", "json"),
        (b"a;b\n1;2", "", "text/plain;charset=US-ASCII", "csv"),
        (b"\n<html>", "x", "text/csv", "csv"),
    ],
)
def test_told(data: bytes, name: str, media_type: str, expected: str) -> None:
    assert format_of(content_of(data), name, media_type) == expected


@pytest.mark.parametrize(
    ("data", "name", "media_type", "problem"),
    [
        (b"PK\x03\x04...", "x.csv", "", "ZIP archive or a workbook"),
        (b"BZh9", "x.csv.bz2", "", "bzip2"),
        (b"\xff\xfea\0", "x.csv", "text/csv", "UTF-16"),
        (gzip.compress(b"PAR1", mtime=0), "x.parquet.gz", "", "Parquet within gzip"),
        (b" <!doctype html>", "x.csv", "text/html; charset=utf-8", "web page"),
        (b"hello", "x.txt", "text/plain", "none of CSV, JSON .*, JSONL and Parquet"),
        (b"", "", "", "none of CSV"),
        (b"a,\0b", "", "", "none of CSV"),
    ],
)
def test_refused(data: bytes, name: str, media_type: str, problem: str) -> None:
    with pytest.raises(Invalid, match=problem):
        format_of(content_of(data), name, media_type)
