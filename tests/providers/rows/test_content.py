"""Content is read plain or unpacked, and never more than the limit."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from stack.errors import Invalid, TooLarge
from stack.providers.rows.content import Content
from stack.providers.rows.settings import ReadLimits
from tests.providers.rows.contents import content_of


def test_streams_of_one_content_do_not_disturb_each_other() -> None:
    content = content_of(b"0123456789")
    first, second = content.open(), content.open()
    assert (first.read(3), second.read(5), first.read(3)) == (b"012", b"01234", b"345")
    assert content.head(2) == b"01"
    assert content.whole() == b"0123456789"


def test_gzip_is_unpacked_also_in_several_members() -> None:
    content = content_of(gzip.compress(b"one\n") + gzip.compress(b"two"))
    assert list(content.lines()) == [b"one\n", b"two"]


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    assert list(content_of(b"\xef\xbb\xbfa\r\n\r\nb").lines()) == [b"a\r\n", b"\r\n", b"b"]


def test_too_much_is_refused_before_it_is_read() -> None:
    with pytest.raises(TooLarge, match=r"the file has more than 9 bytes \(setting max_dataset_bytes"):
        content_of(b"0123456789", max_bytes=9)


@pytest.mark.slow
def test_a_gzip_bomb_ends_at_the_limit() -> None:
    bomb = gzip.compress(gzip.compress(bytes(2**20)) + bytes(400 * 2**20), 1)
    content = content_of(bomb, max_bytes=5 * 2**20)
    with pytest.raises(TooLarge, match="more than 5242880 bytes when unpacked"):
        content.whole()
    with pytest.raises(TooLarge, match=r"(when unpacked|line 1 has)"):
        list(content.lines())


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: data[:20] + b"xxxx" + data[24:]])
def test_damaged_gzip_is_refused(damage: object) -> None:
    data = damage(gzip.compress(os.urandom(1000)))  # type: ignore[operator]
    with pytest.raises(Invalid, match="damaged gzip data"):
        content_of(data).whole()


def test_a_line_longer_than_a_row_may_be_is_refused() -> None:
    with pytest.raises(TooLarge, match="line 2 has more than 10 bytes"):
        list(content_of(b"short\n" + b"x" * 11, max_row_bytes=10).lines())


def test_a_file_that_changes_meanwhile_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'{"a":1}\n')
    with file.open("rb") as opened:
        content = Content(opened.fileno(), "the file", ReadLimits())
        content.check_unchanged()
        with file.open("ab") as more:
            more.write(b"{}")
        with pytest.raises(Invalid, match="changed while it was read"):
            content.check_unchanged()
