"""Deletions: what each one removed from the log, and whether its content has been removed from all other
files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct, json

from projections.warehouse.plan import ReadModel
from projections.warehouse.reader import Reader

Kind = Literal["agent", "session", "dataset", "benchmark"]

READ_MODEL = ReadModel(
    name="erasure",
    tables=("erasures", "erasure_runs"),
    apply=("erasure_requested", "erasure_completed"),
    queries=("erasures_pending", "erasures_kept_turns", "erasures_of"),
)


class Pending(Struct, frozen=True):
    """A deletion whose content may still be in some file. `recorded_us` is microseconds since 1970; `freed` are turns of
    other sessions that were deleted with it."""

    kind: Kind
    id: str
    position: int
    recorded_us: int
    freed: list[str]


class Deleted(Struct, frozen=True):
    """One deletion. Counts are None if the log does not contain them; `completed_us` is None while content
    may remain."""

    kind: Kind
    id: str
    recorded_us: int
    events: int | None
    blobs: int | None
    turns: int | None
    jobs: int | None
    completed_us: int | None
    spans: int
    removed: list[str]
    """Things that were removed completely because they might have held its content."""
    has_more: bool
    """True if sessions of a deleted agent still have to be deleted."""
    kept: int
    """The number of turns whose content other sessions still share."""


def pending(reader: Reader) -> list[Pending]:
    """Returns the pending deletions, oldest first."""
    rows = reader.read("erasures_pending", {})
    return [Pending(kind, id, position, at, freed or []) for kind, id, position, at, freed in rows]


def kept_turns(reader: Reader) -> list[str]:
    """Returns the turns of pending deletions whose content stays, because existing sessions share them."""
    return [turn_id for (turn_id,) in reader.read("erasures_kept_turns", {})]


def of(reader: Reader, id: str) -> Sequence[Deleted]:
    """Returns the deletions of this id, and of an agent's sessions, oldest first. Empty if nothing was
    deleted."""
    found = []
    for row in reader.read("erasures_of", {"id": id}):
        (
            kind,
            deleted_id,
            recorded_us,
            events,
            blobs,
            turns,
            jobs,
            completed_us,
            spans,
            removed,
            more,
            kept,
        ) = row
        counted = json.decode(spans, type=dict[str, int]).get(deleted_id, 0) if spans else 0
        names = json.decode(removed, type=list[str]) if removed else []
        found.append(
            Deleted(
                kind,
                deleted_id,
                recorded_us,
                events,
                blobs,
                turns,
                jobs,
                completed_us,
                counted,
                names,
                more,
                kept,
            )
        )
    return found
