"""Reads the events of a server's log and prints them, one line each."""

from __future__ import annotations

import http.client
import shutil
import sys
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import click
import msgspec
from msgspec import Raw, Struct

from stack.cli.connection import AnswerError
from stack.cli.target import target
from stack.cli.terminal import one_line, write_out
from stack.errors import NotFound, Unavailable

EVENTS = "/v1alpha/events"
RETRY_S = 0.5
_PIPED_COLUMNS = 200


class _Page(Struct):
    data: list[Raw]
    next: int
    has_more: bool


def print_events(options: Mapping[str, Any]) -> None:
    """Prints events of the server that the options name, and those that are recorded from now on if they say so. Raises
    AnswerError, NotFound if no server runs, OSError."""
    lines = _Lines(as_json=options["as_json"])
    filters = [("name", name) for name in options["names"]]
    if options["stream"]:
        filters.append(("stream", options["stream"]))
    after, more = str(options["after"]), True
    server = target(dict(options))
    while more:
        _, body = server.fetch(f"{EVENTS}?{urlencode([('after', after), *filters])}")
        page = msgspec.json.decode(body, type=_Page)
        for event in page.data:
            lines.print(bytes(event))
        after, more = str(page.next), page.has_more
    if options["follow"]:
        _follow(options, filters, after, lines)


def _follow(options: Mapping[str, Any], filters: list[tuple[str, str]], after: str, lines: _Lines) -> None:
    """Follows the log after a position. If the server ends, waits for the next one, which may have another port."""
    is_gone = False
    while True:
        try:
            server = target(dict(options))
            query = urlencode([("follow", "true"), ("after", after), *filters])
            for body, data in server.stream("GET", f"{EVENTS}?{query}"):
                is_gone = False
                after = str(data["position"])
                lines.print(body.partition(b"\ndata: ")[2][:-2])
        except AnswerError as error:
            if error.status != Unavailable.status:
                raise
        except (OSError, http.client.HTTPException, NotFound, Unavailable):
            pass
        if not is_gone:
            click.echo(f"The server has ended; waiting for it after position {after}.", err=True)
            is_gone = True
        time.sleep(RETRY_S)


class _Lines:
    """Prints events."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else _PIPED_COLUMNS

    def print(self, event: bytes) -> None:
        if self._as_json:
            write_out(event + b"\n")
            return
        fields = msgspec.json.decode(event)
        content = "[deleted]" if fields.get("deleted") else fields.get("damage") or ""
        if "event" in fields:
            content = msgspec.json.encode(fields["event"]).decode()
        time_text = f"{fields['recorded_at'][:23]}Z"
        line = (
            f"{fields['position']:>8}  {time_text}  {fields['name']:<22}  {fields['stream']:<44}  {content}"
        )
        write_out(one_line(line)[: self._columns].encode() + b"\n")
