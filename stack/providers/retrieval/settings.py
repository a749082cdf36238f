"""The settings of one collection, from a `[[collections]]` table of the settings file."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

DEFAULT_INCLUDE = ("*.txt", "*.md", "*.markdown", "*.html", "*.htm", "*.pdf")


class CollectionSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The documents in one folder and the folders in it.

    `include` lists patterns for names (`*.md`), or for paths below `path` if they have a slash (`manual/*.html`). Chunks
    have `chunk_tokens` and overlap by `overlap_tokens`. `embedding_model` is `<provider>/<model>`; its embeddings are used
    in addition to words. `max_file_bytes` is the size above which a file is left out.
    """

    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    path: Annotated[str, Meta(min_length=1)]
    include: tuple[str, ...] = DEFAULT_INCLUDE
    chunk_tokens: Annotated[int, Meta(ge=16, le=8192)] = 256
    overlap_tokens: Annotated[int, Meta(ge=0, le=4096)] = 32
    embedding_model: str = ""
    max_file_bytes: Annotated[int, Meta(ge=1, le=2**30)] = 32 * 2**20


def check(settings: CollectionSettings) -> None:
    """Checks combinations of values. Raises ValueError with the remedy."""
    if settings.overlap_tokens > settings.chunk_tokens // 2:
        raise ValueError("overlap_tokens is more than half of chunk_tokens. Lower it.")
