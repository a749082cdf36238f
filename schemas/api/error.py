"""The error body (spec: Error) and its form inside an event stream."""

from __future__ import annotations

from msgspec import Struct


class Error(Struct, frozen=True, omit_defaults=True):
    """An error. `title` is the same for all errors of a kind; `detail` names the field, the problem and the
    remedy."""

    status: int
    title: str
    detail: str
    instance: str | None = None


class StreamError(Struct, frozen=True):
    """The body of an error frame. `message` repeats `detail` because existing clients read it."""

    status: int
    title: str
    detail: str
    message: str


class StreamErrorChunk(Struct, frozen=True):
    error: StreamError
