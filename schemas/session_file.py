"""The lines of a session file, `name.session.jsonl`: a header, events, long texts, and a closing line.

Fields that a reader does not know are ignored, and kept if the file is written again. What changes the meaning of a known
field is a new `format_version`.
"""

from __future__ import annotations

from typing import Any

from msgspec import Raw, Struct, field

FORMAT = "replaystack.session"
FORMAT_VERSION = 1
ENDING = ".session.jsonl"


class Passes(Struct, frozen=True):
    """A check passes if `needed` of `of` runs pass."""

    needed: int
    of: int


class Tolerance(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The differences that a check accepts. `ignore` are JSON paths of values that vary in the arguments and results of
    tools; numbers are equal if they differ by at most `epsilon`; `text` says how prose is compared: ignore, exact,
    normalised or judge."""

    ignore: list[str] = []
    epsilon: float = 0.0
    text: str = "ignore"
    passes: Passes | None = field(default=None, name="pass")


class Redaction(Struct, frozen=True):
    """The number of values that each rule replaced when the file was written, never the values."""

    rules: dict[str, int]


class Environment(Struct, frozen=True):
    """The server that exported the session. `settings` are those that influence a turn."""

    version: str
    python: str
    settings: dict[str, Any] = {}


class SessionFileHeader(
    Struct, frozen=True, kw_only=True, omit_defaults=True, tag="header", tag_field="line"
):
    """The first line. `events` are the names, with versions, of the events in the file; `open_turn` is the turn that had
    not ended when the session was exported, "" if none. `forked_from` is the session whose past a fork shares: the file
    of a fork holds that past, so the fork is a session of its own wherever it is imported."""

    format: str = field(default_factory=lambda: FORMAT)
    format_version: int
    agent_id: str
    session_id: str
    events: list[str]
    environment: Environment
    open_turn: str = ""
    forked_from: str = ""
    tolerance: Tolerance | None = None
    redaction: Redaction | None = None


class SessionFileEvent(Struct, frozen=True, kw_only=True, tag="event", tag_field="line"):
    """One event of the stream `agent/<id>`, `session/<id>` or `turn/<id>`. `position` is its place in the log from which
    it was exported, `recorded_at` the time at which it occurred in microseconds since 1970, `state` its content as stored:
    `{"$blob": digest, "bytes": n}` takes the place of a text above 256 KiB."""

    stream: str
    version: int
    name: str
    position: int
    recorded_at: int
    state: Raw


class SessionFileBlob(Struct, frozen=True, kw_only=True, tag="blob", tag_field="line"):
    """A text to which events refer by the SHA-256 (hex) of its UTF-8."""

    sha256: str
    content: str


class SessionFileEnd(Struct, frozen=True, kw_only=True, tag="end", tag_field="line"):
    """The last line. `events` and `blobs` count the lines before it; `digests` holds the first 8 hex digits of the SHA-256
    of each, which locates a change; `chain` is the hash over all of them:

        chain of no lines = SHA-256("replaystack session file 1")
        chain of n lines  = SHA-256(chain of n - 1 lines, SHA-256(line n without its line break))
    """

    events: int
    blobs: int
    digests: str
    chain: str
