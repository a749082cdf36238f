"""What a server and the processes that read rows for it say to each other: tasks, and the frames of their answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec
from msgspec import Struct

from stack.errors import ReplaystackError
from stack.providers.rows.settings import ReadLimits
from stack.workers.framing import OWN

ENVELOPE, BLOCK, LISTING, FILE, REFUSED = range(OWN, OWN + 5)
"""ENVELOPE and BLOCK carry JSON text, the number of rows in a block with it; LISTING a Listing; FILE a path in the task's
folder; REFUSED a Refusal."""

Frames = Iterator[tuple[int, int, bytes]]


class Job(Struct, frozen=True, kw_only=True):
    """The task of `worker`. `content` is an open file descriptor. `shown` names the content in messages; `name` (its
    last path segment) and `media_type` tell its format. A `body` is split at `path`.
    """

    task: Literal["body", "file"]
    content: int
    limits: ReadLimits
    shown: str = ""
    name: str = ""
    media_type: str = ""
    path: tuple[str, ...] = ()


class HubJob(Struct, frozen=True, kw_only=True):
    """The task of `hub_worker`: to list the files of a dataset on the hub, or to put its file `path` into `folder`; ""
    is what was not said."""

    repository: str
    shown: str
    limits: ReadLimits
    config: str = ""
    split: str = ""
    revision: str = ""
    folder: str = ""
    path: str = ""


class Listing(Struct, frozen=True):
    """The files that hold a split, in order, at a commit."""

    commit: str
    paths: list[str]


class Refusal(Struct, frozen=True):
    """An error for the caller, and what caused it for the server's log."""

    status: int
    detail: str
    cause: str = ""


def refusing(frames: Frames) -> Frames:
    """`frames`, ended by REFUSED if an error for the caller is raised."""
    try:
        yield from frames
    except ReplaystackError as error:
        cause = repr(error.__cause__) if error.__cause__ else ""
        yield REFUSED, 0, msgspec.json.encode(Refusal(error.status, error.detail, cause))
