"""Datasets: which rows may be registered and appended, and which versions exist."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Raw, Struct

from schemas.events.base import Damaged, Erased, Event
from schemas.events.dataset import (
    HEAD_BYTES,
    HEAD_ROWS,
    DatasetRegistered,
    DatasetRowsAppended,
    DatasetUnregistered,
    RowChunk,
)
from stack.domain.chosen_id import check_chosen_id
from stack.errors import NotFound

INLINE_BYTES = 64 * 1024
"""Maximum size of rows that are stored in their event, in bytes. Larger changes are stored as blobs."""

RESERVED = ("versions", "diff")
"""Last path parts under a dataset's path, which no id may end in."""


class DatasetState(Struct, frozen=True):
    """The state after the last event. `row_count` is that of the current version. `damage` says why the last event cannot
    be read ("" if it can): its rows, of which there is at least one, are counted as one."""

    exists: bool = False
    row_count: int = 0
    damage: str = ""


class NewRows(Struct, frozen=True):
    """Rows that are about to be stored. `digest` is the SHA-256 (hex) of the rows, one per line."""

    row_count: int
    digest: str
    chunks: list[RowChunk]
    head: Raw


def evolve(state: DatasetState, event: Event, recorded_at: int, version: int) -> DatasetState:
    match event:
        case DatasetRegistered(row_count=count):
            return DatasetState(True, count)
        case DatasetRowsAppended(first_row=first, row_count=count):
            return DatasetState(True, first + count)
        case DatasetUnregistered():
            return DatasetState()
        case Damaged(name="dataset.registered"):
            return DatasetState(True, 1, event.detail)
        case Damaged(name="dataset.rows_appended"):
            return DatasetState(True, state.row_count + 1, event.detail)
        case Damaged(name="dataset.unregistered"):
            return DatasetState()
    return state


def existing(state: DatasetState, dataset_id: str) -> DatasetState:
    """Raises NotFound if the dataset never existed or was unregistered."""
    if not state.exists:
        raise NotFound(f"There is no dataset {dataset_id!r}. List the datasets to see their ids.")
    return state


def check_id(dataset_id: str) -> None:
    check_chosen_id(dataset_id, "dataset_id", RESERVED)


def register(purpose: str, provider_id: str, uri: str, metadata: Raw, rows: NewRows) -> list[Event]:
    return [
        DatasetRegistered(
            purpose=purpose,
            provider_id=provider_id,
            row_count=rows.row_count,
            digest=rows.digest,
            chunks=rows.chunks,
            metadata=metadata,
            uri=uri,
            head=rows.head,
        )
    ]


def append(state: DatasetState, rows: NewRows) -> list[Event]:
    head = rows.head if state.row_count < HEAD_ROWS else Raw(b"[]")
    return [
        DatasetRowsAppended(
            first_row=state.row_count, row_count=rows.row_count, chunks=rows.chunks, head=head
        )
    ]


def unregister(erased: Erased) -> list[Event]:
    return [DatasetUnregistered(erased=erased)]


def head_of(rows: Sequence[bytes]) -> Raw:
    """Returns the JSON array of the first of `rows`: at most 100 rows and 64 KiB."""
    taken, size = 0, 2
    for row in rows[:HEAD_ROWS]:
        size += len(row) + 1
        if size > HEAD_BYTES:
            break
        taken += 1
    return Raw(b"[%b]" % b",".join(rows[:taken]))
