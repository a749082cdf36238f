"""The error body (spec: Error) and its form inside a stream."""

from __future__ import annotations

from msgspec import Struct


class Error(Struct, frozen=True, omit_defaults=True):
    """`title` is the same for every error of a kind; `detail` names the field, the problem and the remedy."""

    status: int
    title: str
    detail: str
    instance: str | None = None


class StreamError(Struct, frozen=True):
    """The body of an error frame. `message` repeats `detail`: the existing clients' helper indexes it."""

    status: int
    title: str
    detail: str
    message: str


class StreamErrorChunk(Struct, frozen=True):
    error: StreamError
