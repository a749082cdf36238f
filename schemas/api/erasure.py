"""The receipt of a deletion. Not part of the Llama Stack specification."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class ErasedCounts(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What lost its content, or part of it. `events`, `turns`, `jobs` and `blobs` are absent where the deletion was made
    by a version that did not count. `sessions` counts those that went with an agent. `spans` counts the spans from which
    captured messages were removed. Where the id was used and deleted several times, the last deletion is counted."""

    events: int | None = None
    sessions: int
    turns: int | None = None
    jobs: int | None = None
    blobs: int | None = None
    spans: int


class ErasureRemainder(Struct, frozen=True, omit_defaults=True):
    """`what` remains `where`, `until` a moment in RFC 3339, which is absent where the server cannot know it."""

    what: str
    where: str
    until: str | None = None


class Erasure(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The receipt of what was deleted under `id`. While `in_progress`, content may still be found in the files of the
    data folder, and `waits_for` says what the last attempt failed at, if it failed; once `done`, it is in none of them
    since `completed_at`. Both are absent otherwise. `removed` names what was removed whole, as it may have held content: copies that were set aside,
    damaged bytes of the telemetry log, tables kept from it. Times are RFC 3339."""

    id: str
    kinds: list[Literal["agent", "session", "dataset", "benchmark"]]
    state: Literal["in_progress", "done"]
    requested_at: str
    completed_at: str | None = None
    waits_for: str | None = None
    erased: ErasedCounts
    removed: list[str]
    remains: list[ErasureRemainder]
