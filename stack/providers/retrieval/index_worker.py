"""Indexes one collection and searches in it, in a worker process of its own that keeps the index."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from stack.providers.retrieval import parse_worker
from stack.providers.retrieval.chunks import chunks_of
from stack.providers.retrieval.files import FileState, NotText, bytes_of, files_of, kind_of, text_of
from stack.providers.retrieval.fusion import fused
from stack.providers.retrieval.index import WordIndex
from stack.providers.retrieval.passages import Chunk
from stack.providers.retrieval.port import Passage
from stack.providers.retrieval.settings import CollectionSettings
from stack.providers.retrieval.vectors import VectorIndex
from stack.workers.limits import Limits
from stack.workers.pool import OneWorker
from stack.workers.process import Spec

MAX_CHARACTERS = 512 * 2**20
MAX_CHUNKS = 500_000
"""Files beyond one of these are left out."""
MAX_SKIPPED = 20
"""So many files that were left out are named."""


class Build(Struct, frozen=True, tag=True):
    """Index the files of a collection. Embeddings are kept in the file `vectors`. The answer is Built."""

    settings: CollectionSettings
    vectors: str = ""


class Check(Struct, frozen=True, tag=True):
    """Have the files changed? The answer is a boolean."""


class Missing(Struct, frozen=True, tag=True):
    """Which chunks have no embedding? The answer is Unembedded, with up to `count` of them."""

    count: int


class Unembedded(Struct, frozen=True):
    chunks: list[int]
    texts: list[str]


class Embedded(Struct, frozen=True, tag=True):
    """Take the embeddings of these chunks; without chunks, save and use all. The answer is a boolean: False if they have
    another dimension than the others."""

    chunks: list[int]
    vectors: bytes


class Search(Struct, frozen=True, tag=True):
    """Find up to `count` passages, also by the embedding of the query if that is given. The answer is a list of Passage,
    best first."""

    query: str
    count: int
    vector: bytes = b""


Task = Build | Check | Missing | Embedded | Search


class Built(Struct, frozen=True, kw_only=True):
    """`skipped` names files that were left out, with the reason; `skipped_count` counts all of them."""

    documents: int
    chunks: int
    skipped: list[str]
    skipped_count: int
    seconds: float


class Index:
    """The index of a collection; of a folder that cannot be read it is empty."""

    def __init__(self, settings: CollectionSettings, vectors: str = "") -> None:
        began = time.monotonic()
        self._settings = settings
        self._skipped: list[str] = []
        self._skipped_count = 0
        self._files = self._listed()
        self._names: list[str] = []
        self._texts: list[str] = []
        self._chunks: list[Chunk] = []
        self._words = WordIndex()
        self._parser = OneWorker(
            Spec(
                module=parse_worker.__name__,
                limits=Limits(memory_bytes=parse_worker.MEMORY_BYTES, wait_s=parse_worker.WAIT_S),
            )
        )
        left = MAX_CHARACTERS
        for file, text in self._read():
            left -= len(text)
            if left < 0 or len(self._chunks) >= MAX_CHUNKS:
                self._skip(file.name, "the collection is too large")
                continue
            self._add(file, text)
        self._parser.close()
        self._words.finish()
        self._vectors: VectorIndex | None = None
        if vectors and settings.embedding_model:
            texts = [self._text_of(chunk) for chunk in self._chunks]
            self._vectors = VectorIndex(settings.embedding_model, Path(vectors), texts)
        self._seconds = time.monotonic() - began

    def built(self) -> Built:
        return Built(
            documents=len(self._names),
            chunks=len(self._chunks),
            skipped=self._skipped,
            skipped_count=self._skipped_count,
            seconds=self._seconds,
        )

    def has_changed(self) -> bool:
        try:
            return files_of(self._settings) != self._files
        except OSError:
            return bool(self._files)

    def missing(self, count: int) -> Unembedded:
        chunks = self._vectors.missing(count) if self._vectors else []
        return Unembedded(chunks, [self._text_of(self._chunks[at]) for at in chunks])

    def take(self, embedded: Embedded) -> bool:
        if self._vectors is None:
            return False
        if embedded.chunks:
            return self._vectors.add(embedded.chunks, embedded.vectors)
        self._vectors.finish()
        self._vectors.save()
        return True

    def search(self, query: str, count: int, vector: bytes = b"") -> list[Passage]:
        ranked = self._words.best(query, count)
        similar = self._vectors.best(vector, count) if self._vectors and vector else None
        if similar is not None:
            ranked = fused([at for at, _ in ranked], similar)[:count]
        return [self._passage(at, score) for at, score in ranked]

    def _text_of(self, chunk: Chunk) -> str:
        return self._texts[chunk.document][chunk.start : chunk.end]

    def _passage(self, at: int, score: float) -> Passage:
        chunk = self._chunks[at]
        return Passage(
            document_id=self._names[chunk.document],
            start=chunk.start,
            end=chunk.end,
            score=round(score, 6),
            text=self._text_of(chunk),
            collection=self._settings.id,
        )

    def _listed(self) -> list[FileState]:
        try:
            return files_of(self._settings)
        except OSError as error:
            self._skip(self._settings.path, f"it cannot be read: {error.strerror}")
            return []

    def _read(self) -> Iterator[tuple[FileState, str]]:
        for file in self._files:
            try:
                yield file, self._text(file)
            except NotText as error:
                self._skip(file.name, str(error))
            except OSError as error:
                self._skip(file.name, f"it cannot be read: {error.strerror or error}")

    def _text(self, file: FileState) -> str:
        max_bytes = self._settings.max_file_bytes
        if kind_of(file) == "text":
            return text_of(bytes_of(file, max_bytes))
        try:
            task = parse_worker.encode(parse_worker.FileTask(file, max_bytes))
            parsed = parse_worker.decode(self._parser.ask(task))
        except (ConnectionError, TimeoutError):
            raise NotText(parse_worker.EXHAUSTED) from None
        if parsed.problem:
            raise NotText(parsed.problem)
        return parsed.text

    def _add(self, file: FileState, text: str) -> None:
        settings, number = self._settings, len(self._names)
        self._names.append(file.name)
        self._texts.append(text)
        for start, end in chunks_of(text, settings.chunk_tokens, settings.overlap_tokens):
            self._chunks.append(Chunk(number, start, end))
            self._words.add(text[start:end])

    def _skip(self, name: str, reason: str) -> None:
        self._skipped_count += 1
        if len(self._skipped) < MAX_SKIPPED:
            self._skipped.append(f"{name}: {reason}")


_decode = msgspec.json.Decoder(Task).decode
_encode = msgspec.json.Encoder().encode
_indexes: list[Index] = []


def answer(task: bytes) -> bytes:
    """Performs a task: Build is the first one."""
    match _decode(task):
        case Build() as build:
            # Millions of objects are made, and hardly any is garbage.
            gc.disable()
            _indexes[:] = [Index(build.settings, build.vectors)]
            gc.freeze()
            gc.enable()
            return _encode(_indexes[0].built())
        case Check():
            return _encode(_indexes[0].has_changed())
        case Missing(count=count):
            return _encode(_indexes[0].missing(count))
        case Embedded() as embedded:
            return _encode(_indexes[0].take(embedded))
        case Search(query=query, count=count, vector=vector):
            return _encode(_indexes[0].search(query, count, vector))
    raise AssertionError("unknown task")
