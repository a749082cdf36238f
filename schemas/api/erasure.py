"""The receipt of a deletion. Not part of the Llama Stack specification."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class ErasedCounts(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The number of items whose content was removed, completely or in part.

    `events`, `turns`, `jobs` and `blobs` are absent if the deletion was made by a version that did not count
    them. `sessions` counts the sessions deleted together with an agent. `spans` counts the spans from which
    captured messages were removed. If the id was used and deleted several times, the counts are those of the
    last deletion."""

    events: int | None = None
    sessions: int
    turns: int | None = None
    jobs: int | None = None
    blobs: int | None = None
    spans: int


class ErasureRemainder(Struct, frozen=True, omit_defaults=True):
    """Names `what` remains and `where`. `until` is an RFC 3339 time, absent if the server cannot know it."""

    what: str
    where: str
    until: str | None = None


class Erasure(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The receipt of the deletion of `id`. Times are RFC 3339.

    While the status is `in_progress`, deleted content may still be found in files of the data folder;
    `waits_for` describes the last failure, if there was one. Once it is `done`, no file has held the content
    since `completed_at`. Each of the two fields is absent in the other status. `removed` names what was
    removed completely because it might have held content: copies that were set aside, damaged bytes of the
    telemetry log, tables kept from it."""

    id: str
    kinds: list[Literal["agent", "session", "dataset", "benchmark"]]
    state: Literal["in_progress", "done"]
    requested_at: str
    completed_at: str | None = None
    waits_for: str | None = None
    erased: ErasedCounts
    removed: list[str]
    remains: list[ErasureRemainder]
