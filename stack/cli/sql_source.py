"""The server, or the files, that answer the queries of `replaystack sql`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from schemas.api.sql import SqlSchema
from stack.cli.target import target

if TYPE_CHECKING:
    from stack.cli.connection import Connection

TIMEOUT_S = 3600.0
"""The server's own limit applies first."""


class Answered(NamedTuple):
    """`limit` is the setting that has cut the result; empty if it is complete."""

    limit: str
    pieces: Iterator[bytes]


class Source(Protocol):
    """`name` is for people."""

    @property
    def name(self) -> str: ...

    def answer(self, request: Mapping[str, Any]) -> Answered:
        """Answers an `SqlRequest`. Raises AnswerError, ReplaystackError, OSError."""
        ...

    def schema(self) -> SqlSchema: ...


class Served:
    """A server."""

    def __init__(self, server: Connection) -> None:
        self._server = server

    @property
    def name(self) -> str:
        return self._server.url

    def answer(self, request: Mapping[str, Any]) -> Answered:
        headers, pieces = self._server.answer("POST", "/v1alpha/sql", request)
        return Answered(headers.get("x-truncated", ""), pieces)

    def schema(self) -> SqlSchema:
        return msgspec.convert(self._server.ask("GET", "/v1alpha/sql/schema"), SqlSchema)


def source(options: Mapping[str, Any]) -> Source:
    """Returns what answers queries now, from the options of a command with `target_options`. Raises NotFound if no server
    uses the data folder."""
    return Served(target(dict(options), TIMEOUT_S))
