"""Indexing folders: which files, how they are read, what is left out and why."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.providers.retrieval import index_worker
from stack.providers.retrieval.bm25 import scores_of
from stack.providers.retrieval.index import WordIndex
from stack.providers.retrieval.index_worker import Index
from stack.providers.retrieval.settings import CollectionSettings, check
from tests.services.pdfs import PAGE_LOOP, pdf

HTML = """<html><head><title>No</title></head><body><h1>Tides</h1><p>High tide<br>is at <b>six</b>.</p>
<script>hidden()</script><ul><li>low</li><li>slack</li></ul></body></html>"""


def written(root: Path) -> Path:
    """Writes the documents into a folder."""
    (root / "manual" / ".git").mkdir(parents=True)
    (root / "harbour.md").write_text("# Harbour\n\nThe harbour opens at ten.")
    (root / "manual" / "tides.html").write_text(HTML)
    (root / "manual" / "ferry.pdf").write_bytes(pdf("The ferry leaves at noon.", "It returns at five."))
    (root / "latin.txt").write_bytes("Caf\xe9".encode("latin-1"))
    (root / "utf16.txt").write_text("Lighthouse keeper", encoding="utf-16")
    (root / "empty.txt").touch()
    (root / "binary.txt").write_bytes(b"\0\1\2")
    (root / "broken.pdf").write_bytes(b"%PDF-1.7\nbroken")
    (root / "loop.pdf").write_bytes(PAGE_LOOP)
    (root / "locked.pdf").write_bytes(pdf("secret", password="pass"))
    (root / "blank.pdf").write_bytes(pdf(""))
    (root / "large.txt").write_bytes(b"a " * 6000)
    (root / "program.py").write_text("harbour")
    (root / "manual" / ".git" / "config.txt").write_text("harbour")
    (root / ".hidden.txt").write_text("harbour")
    (root / "link.txt").symlink_to("/etc/passwd")
    (root / "loop").symlink_to(root)
    os.mkfifo(root / "pipe.txt")
    return root


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    root = written(tmp_path_factory.mktemp("index") / "documents")
    yield Index(CollectionSettings(id="docs", path=str(root), max_file_bytes=10_000))


def test_files_that_cannot_be_indexed_are_named(index: Index) -> None:
    built = index.built()
    assert built.documents == 4 and built.chunks == 4
    skipped = dict(one.split(": ", 1) for one in built.skipped)
    assert built.skipped_count == len(skipped) == 8
    assert "not utf-8 at byte 3" in skipped["latin.txt"]
    assert skipped["empty.txt"] == "it is empty" and skipped["binary.txt"] == "it is binary"
    assert "more than max_file_bytes (10000)" in skipped["large.txt"]
    assert "not a readable PDF" in skipped["broken.pdf"] and "loop.pdf" in skipped
    assert "password" in skipped["locked.pdf"] and "no text" in skipped["blank.pdf"]


@pytest.mark.parametrize(
    ("query", "document", "text"),
    [
        ("When does the harbour open?", "harbour.md", "# Harbour\n\nThe harbour opens at ten."),
        ("ferry leaving", "manual/ferry.pdf", "The ferry leaves at noon.\n\nIt returns at five."),
        ("high tides", "manual/tides.html", "Tides\nHigh tide\nis at six.\nlow\nslack"),
        ("lighthouses", "utf16.txt", "Lighthouse keeper"),
    ],
)
def test_what_is_found(index: Index, query: str, document: str, text: str) -> None:
    [found] = index.search(query, 10)
    assert (found.document_id, found.text, found.collection) == (document, text, "docs")
    assert found.score > 0 and (found.start, found.end) == (0, len(text))


def test_what_is_not_found(index: Index) -> None:
    for query in ("zebra", "hidden", "", "?!", "root passwd"):
        assert index.search(query, 10) == []


def test_changes_are_noticed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    index = Index(CollectionSettings(id="docs", path=str(tmp_path)))
    assert not index.has_changed()
    (tmp_path / "b.py").write_text("not included")
    assert not index.has_changed()
    (tmp_path / "b.txt").write_text("two")
    assert index.has_changed()
    (tmp_path / "b.txt").unlink()
    assert not index.has_changed()
    (tmp_path / "a.txt").write_text("three")
    assert index.has_changed()


def test_patterns(tmp_path: Path) -> None:
    for name in ("a.rst", "manual/b.rst", "manual/c.md", "other/d.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("harbour " + name)
    settings = CollectionSettings(id="docs", path=str(tmp_path), include=("*.rst", "manual/*.md"))
    found = Index(settings).search("harbour", 10)
    assert sorted(one.document_id for one in found) == ["a.rst", "manual/b.rst", "manual/c.md"]


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    index = Index(CollectionSettings(id="docs", path=str(tmp_path / "none")))
    assert index.built().documents == 0 and "No such file" in index.built().skipped[0]
    assert index.search("anything", 3) == [] and not index.has_changed()
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "a.txt").write_text("anything")
    assert index.has_changed()


def test_a_collection_has_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_worker, "MAX_CHARACTERS", 10)
    for name in "abc":
        (tmp_path / f"{name}.txt").write_text("words")
    built = Index(CollectionSettings(id="docs", path=str(tmp_path))).built()
    assert built.documents == 2 and built.skipped == ["c.txt: the collection is too large"]


def test_an_index_has_the_scores_of_a_search_without_one() -> None:
    texts = ["The harbour opens.", "Harbours, harbours!", "A bakery opens early.", "Nothing."]
    index = WordIndex()
    for text in texts:
        index.add(text)
    index.finish()
    scores = scores_of("harbour opening", texts)
    assert index.best("harbour opening", 10) == [
        (at, pytest.approx(scores[at], rel=1e-5)) for at in sorted(range(3), key=lambda at: -scores[at])
    ]
    assert [at for at, _ in index.best("harbour opening", 2)] == [
        at for at, _ in index.best("harbour opening", 10)
    ][:2]


def test_an_overlap_must_be_shorter_than_half_a_chunk() -> None:
    check(CollectionSettings(id="docs", path="/", chunk_tokens=64, overlap_tokens=32))
    with pytest.raises(ValueError, match="overlap_tokens"):
        check(CollectionSettings(id="docs", path="/", chunk_tokens=64, overlap_tokens=33))
