"""The embeddings of chunks, kept in a file by the digest of their text. Used in a worker process only: it imports numpy."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

DIGEST_BYTES = 32


class _Head(Struct):
    """The first line of a file; after it come digests, each followed by `dimension` numbers (float32)."""

    model: str
    dimension: int


class VectorIndex:
    """`texts` are those of all chunks. Vectors that `file` has for `model` are taken from it; a file that cannot be read
    counts as empty."""

    def __init__(self, model: str, file: Path, texts: Sequence[str]) -> None:
        self._model = model
        self._file = file
        self._digests = [hashlib.sha256(text.encode("utf-8", "replace")).digest() for text in texts]
        self._dimension = 0
        self._known: dict[bytes, bytes] = {}
        with suppress(OSError, ValueError, msgspec.MsgspecError):
            self._load()
        self._matrix: Any = None
        self.finish()

    def missing(self, count: int) -> list[int]:
        """Returns up to `count` chunks without a vector."""
        found: list[int] = []
        seen: set[bytes] = set()
        for at, digest in enumerate(self._digests):
            if digest not in self._known and digest not in seen:
                seen.add(digest)
                found.append(at)
                if len(found) == count:
                    break
        return found

    def add(self, chunks: Sequence[int], vectors: bytes) -> bool:
        """Adds the vectors (float32) of these chunks. Returns False if they have another dimension than the
        others."""
        size = len(vectors) // len(chunks)
        if self._known and size != self._dimension * 4:
            return False
        self._dimension = size // 4
        for place, at in enumerate(chunks):
            self._known[self._digests[at]] = vectors[place * size : (place + 1) * size]
        return True

    def save(self) -> None:
        """Writes the vectors of the chunks to the file. Raises OSError."""
        wanted = {digest: self._known[digest] for digest in self._digests if digest in self._known}
        partial = self._file.with_suffix(".partial")
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as written:
            written.write(msgspec.json.encode(_Head(self._model, self._dimension)) + b"\n")
            for digest, vector in wanted.items():
                written.write(digest + vector)
        partial.replace(self._file)

    def finish(self) -> None:
        """Makes the vectors searchable if none is missing."""
        import numpy as np

        if self._digests and self._dimension and not self.missing(1):
            whole = b"".join(self._known[digest] for digest in self._digests)
            self._matrix = _unit(np.frombuffer(whole, np.float32).reshape(-1, self._dimension))

    def best(self, vector: bytes, count: int) -> list[int] | None:
        """Returns the chunks with the most similar vectors, best first; None if vectors are missing, or `vector` has
        another dimension."""
        import numpy as np

        if self._matrix is None or len(vector) != self._dimension * 4:
            return None
        scores = self._matrix @ _unit(np.frombuffer(vector, np.float32).reshape(1, -1))[0]
        top = np.argpartition(-scores, count)[:count] if count < len(scores) else np.arange(len(scores))
        return sorted((int(at) for at in top), key=lambda at: (-float(scores[at]), at))

    def _load(self) -> None:
        content = self._file.read_bytes()
        line, _, records = content.partition(b"\n")
        head = msgspec.json.decode(line, type=_Head)
        size = DIGEST_BYTES + head.dimension * 4
        if head.model != self._model or head.dimension < 1 or len(records) % size:
            return
        self._dimension = head.dimension
        for start in range(0, len(records), size):
            digest = records[start : start + DIGEST_BYTES]
            self._known[digest] = records[start + DIGEST_BYTES : start + size]


def _unit(vectors: Any) -> Any:
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1.0)
