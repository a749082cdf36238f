"""The messages between a server and its processes that read rows: tasks, and the frames of their
responses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec
from msgspec import Struct

from stack.errors import ReplaystackError
from stack.providers.rows.settings import ReadLimits
from stack.workers.framing import OWN

ENVELOPE, BLOCK, LISTING, FILE, REFUSED = range(OWN, OWN + 5)
"""ENVELOPE and BLOCK carry JSON text, BLOCK also the number of rows; LISTING a Listing; FILE a path in the
task's folder; REFUSED a Refusal."""

Frames = Iterator[tuple[int, int, bytes]]


class Job(Struct, frozen=True, kw_only=True):
    """The task of `worker`. `content` is an open file descriptor. `shown` names the content in messages;
    `name` (its last path segment) and `media_type` determine its format. A `body` is split at `path`.
    """

    task: Literal["body", "file"]
    content: int
    limits: ReadLimits
    shown: str = ""
    name: str = ""
    media_type: str = ""
    path: tuple[str, ...] = ()


class HubJob(Struct, frozen=True, kw_only=True):
    """The task of `hub_worker`: to list the files of a dataset on the hub, or to download its file `path`
    into `folder`. "" means not specified."""

    repository: str
    shown: str
    limits: ReadLimits
    config: str = ""
    split: str = ""
    revision: str = ""
    folder: str = ""
    path: str = ""


class Listing(Struct, frozen=True):
    """The files of a split, in order, at a commit."""

    commit: str
    paths: list[str]


class Refusal(Struct, frozen=True):
    """An error for the caller, and its cause for the server's log."""

    status: int
    detail: str
    cause: str = ""


def refusing(frames: Frames) -> Frames:
    """Yields `frames`, and ends with REFUSED if an error for the caller is raised."""
    try:
        yield from frames
    except ReplaystackError as error:
        cause = repr(error.__cause__) if error.__cause__ else ""
        yield REFUSED, 0, msgspec.json.encode(Refusal(error.status, error.detail, cause))
