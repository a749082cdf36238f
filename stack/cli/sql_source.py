"""The server, or the files, that answer the queries of `replaystack sql`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from schemas.api.sql import SqlSchema
from stack.cli.target import target

if TYPE_CHECKING:
    from stack.cli.connection import Connection

TIMEOUT_S = 3600.0
"""The server's own limit applies first."""
HELD_S = 10.0
"""The time, in seconds, in which another process that has the files open is waited for."""
_POLL_S = 0.05


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


class Folder:
    """The server of a data folder, or else the files in it. Another process that has the folder open, such as another
    query, or a server that starts or ends, is waited for."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options

    @property
    def name(self) -> str:
        return self._now().name

    def answer(self, request: Mapping[str, Any]) -> Answered:
        from stack.data_folder import FolderInUse

        until = time.monotonic() + HELD_S
        while True:
            try:
                return self._now().answer(request)
            except FolderInUse:
                if time.monotonic() > until:
                    raise
            time.sleep(_POLL_S)

    def schema(self) -> SqlSchema:
        return self._now().schema()

    def _now(self) -> Source:
        """Raises NotFound without a folder, Unavailable if another process has it open for too long."""
        from stack.cli.options import loaded
        from stack.data_folder import is_held, running_server

        settings = loaded(dict(self._options)).settings
        until = time.monotonic() + HELD_S
        while is_held(settings.data) and not running_server(settings.data) and time.monotonic() < until:
            time.sleep(_POLL_S)
        if is_held(settings.data):
            return Served(target(dict(self._options), TIMEOUT_S))
        from stack.cli.sql_files import Files

        return Files(settings)


def source(options: Mapping[str, Any]) -> Source:
    """Returns what answers queries, from the options of a command with `target_options`."""
    return Served(target(dict(options), TIMEOUT_S)) if options.get("url") else Folder(options)
