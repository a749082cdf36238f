"""What a server and the process that reads rows for it say to each other: one job, then frames."""

from __future__ import annotations

import struct
from typing import IO, Literal

from msgspec import Struct

from stack.providers.rows.settings import ReadLimits

_HEAD = struct.Struct("<BIQ")

ENVELOPE, BLOCK, FILE, REFUSED, FAULT, DONE = 1, 2, 3, 4, 5, 6
MAX_FRAME_BYTES = 2**31


class Job(Struct, frozen=True, kw_only=True):
    """One line on standard input, which stays open for as long as the answer is wanted.

    `content` is an open file descriptor. `shown` names the content in messages; `name` (its last path segment) and
    `media_type` tell its format. A `body` is split at `path`.
    """

    task: Literal["body", "file"]
    content: int
    limits: ReadLimits
    shown: str = ""
    name: str = ""
    media_type: str = ""
    path: tuple[str, ...] = ()


class HubJob(Struct, frozen=True, kw_only=True):
    """The same for a dataset on the hub. Each line after it asks for the next file; "" is what was not said."""

    repository: str
    shown: str
    limits: ReadLimits
    config: str = ""
    split: str = ""
    revision: str = ""
    folder: str = ""


class Refusal(Struct, frozen=True):
    """Payload of REFUSED: an error for the caller, and what is behind it for the server's log."""

    status: int
    detail: str
    cause: str = ""


class Frame(Struct, frozen=True):
    """ENVELOPE and BLOCK carry JSON text, `count` rows in a block; FILE a path in the job's folder; REFUSED a Refusal;
    FAULT a traceback. DONE ends the answer."""

    kind: int
    count: int
    payload: bytes


def write(out: IO[bytes], kind: int, payload: bytes = b"", count: int = 0) -> None:
    out.write(_HEAD.pack(kind, count, len(payload)))
    out.write(payload)
    out.flush()


def read(source: IO[bytes]) -> Frame | None:
    """The next frame; None where the other side ended before it was complete."""
    head = source.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    kind, count, length = _HEAD.unpack(head)
    if length > MAX_FRAME_BYTES:
        return None
    payload = source.read(length)
    return Frame(kind, count, payload) if len(payload) == length else None
