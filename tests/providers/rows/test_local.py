"""A command reads the files of its user, whatever leads to them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stack.errors import Invalid
from stack.providers.rows.local import local_rows
from tests.providers.rows.children import children
from tests.providers.rows.contents import values

pytestmark = pytest.mark.anyio


async def rows_of(path: Path) -> list[object]:
    return values([block async for block in local_rows(path)])


async def test_files_are_read_also_through_links(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,x\n")
    (tmp_path / "b.csv").symlink_to("a.csv")
    assert await rows_of(tmp_path / "a.csv") == await rows_of(tmp_path / "b.csv") == [{"a": 1, "b": "x"}]
    assert children() == []


async def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.csv")
    (tmp_path / "bad.jsonl").write_text("{}\n[]\n")
    for name, problem in (
        ("none.csv", "none.csv cannot be opened: No such file or directory"),
        ("fifo.csv", "not a regular file"),
        (".", "not a regular file"),
        ("bad.jsonl", "bad.jsonl: line 2 is a list"),
    ):
        with pytest.raises(Invalid, match=problem):
            await rows_of(tmp_path / name)
