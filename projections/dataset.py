"""Existing datasets: their versions, and which chunk holds which rows. The rows themselves stay in the
log."""

from __future__ import annotations

from itertools import groupby

from msgspec import Raw, Struct
from msgspec.json import Decoder

from projections.warehouse.plan import ReadModel
from projections.warehouse.reader import NOW, PAGE_BYTES, Reader, Row, page_of, rfc3339
from schemas.api.dataset import Dataset, DatasetVersion, RowsDataSource, URIDataSource
from schemas.events.dataset import HEAD_BYTES, HEAD_ROWS

READ_MODEL = ReadModel(
    name="dataset",
    tables=("dataset_changes", "dataset_deletions"),
    indexes=("dataset_changes_by_dataset",),
    views=("datasets",),
    apply=("dataset_changes", "dataset_deletion", "dataset_deleted"),
    queries=("dataset_heads", "dataset_registration", "dataset_chunks", "dataset_versions_page"),
)

LIST_BYTES = 8 * 2**20
"""Maximum total size of the rows in a list, in bytes. A list shows at most the first 100 rows of each dataset
and 64 KiB of them; once the total is reached, datasets are listed without rows."""
_VERSION_BYTES = 256


class _Chunk(Struct, frozen=True):
    rows: list[Raw] = []


class _Change(Struct, frozen=True):
    """The fields read from an event of either kind."""

    row_count: int
    chunks: list[_Chunk]
    head: list[Raw] = []

    @property
    def first_rows(self) -> list[Raw]:
        return self.head or [row for chunk in self.chunks[:1] for row in chunk.rows]


class Registration(Struct, frozen=True):
    """How a dataset was registered. `digest` is the SHA-256 (hex) of the rows at registration, one per
    line."""

    purpose: str
    provider_id: str
    digest: str
    metadata: Raw = Raw(b"{}")
    uri: str = ""


class Chunk(Struct, frozen=True):
    """Rows `first_row` to `first_row + count` of a dataset. They are in the blob or, if it is empty, in the
    event of `version`."""

    first_row: int
    count: int
    version: int
    blob: str


_change = Decoder(_Change)
_registration = Decoder(Registration)


def listing(reader: Reader, as_of: int | None = None) -> list[Dataset]:
    """Returns all datasets in the order of registration, with some of their first rows if they were made from
    rows."""
    rows = reader.read("dataset_heads", {"as_of": NOW if as_of is None else as_of})
    listed, left = [], LIST_BYTES
    for dataset_id, changes in groupby(rows, key=lambda row: row[0]):
        events = [reader.hydrate(event.encode()) for _, event in changes]
        dataset, size = _listed(str(dataset_id), events, min(HEAD_BYTES, left))
        listed.append(dataset)
        left -= size
    return listed


def registration(reader: Reader, dataset_id: str) -> Registration | None:
    """Returns None if the dataset is unknown or unregistered."""
    rows = reader.read("dataset_registration", {"dataset_id": dataset_id})
    return _registration.decode(reader.hydrate(rows[0][0].encode())) if rows else None


def chunks(
    reader: Reader, dataset_id: str, after_version: int = 0
) -> tuple[list[Chunk], list[tuple[int, int]]]:
    """Returns the chunks of the changes after `after_version` in order, and for each change its version and
    the total number of rows including it."""
    found: list[Chunk] = []
    versions: list[tuple[int, int]] = []
    for version, first_row, row_count, counts, blobs in reader.read(
        "dataset_chunks", {"dataset_id": dataset_id, "after": after_version}
    ):
        first = first_row
        for count, blob in zip(counts, blobs, strict=True):
            found.append(Chunk(first, count, version, blob))
            first += count
        versions.append((version, first_row + row_count))
    return found, versions


def versions_page(
    reader: Reader,
    dataset_id: str,
    start_index: int = 0,
    limit: int | None = None,
    max_bytes: int = PAGE_BYTES,
    as_of: int | None = None,
) -> tuple[list[DatasetVersion], bool]:
    """Returns versions from `start_index` on, at most `limit` (None: all) and `max_bytes`, and whether more
    follow."""

    def fetch(offset: int, row_count: int, after: int) -> list[Row]:
        params = {"start_index": offset, "row_count": row_count, "after": after}
        fixed = {"dataset_id": dataset_id, "as_of": NOW if as_of is None else as_of}
        return reader.read("dataset_versions_page", params | fixed)

    return page_of(fetch, lambda row: (_version(row[:-1]), _VERSION_BYTES), start_index, limit, max_bytes)


def dataset(dataset_id: str, registered: Registration, rows: list[Raw]) -> Dataset:
    """Returns the dataset in the form of the API; `rows` are its first rows."""
    source = URIDataSource(registered.uri) if registered.uri else RowsDataSource(rows)
    return Dataset(
        identifier=dataset_id,
        provider_resource_id=dataset_id,
        provider_id=registered.provider_id,
        purpose=registered.purpose,  # type: ignore[arg-type]  # a value of a newer release is passed on
        source=source,
        metadata=registered.metadata,
    )


def _listed(dataset_id: str, events: list[bytes], max_bytes: int) -> tuple[Dataset, int]:
    registered = _registration.decode(events[0])
    rows: list[Raw] = []
    size = 0
    if not registered.uri:
        for event in events:
            change = _change.decode(event)
            for row in change.first_rows:
                size += len(bytes(row)) + 1
                if size > max_bytes or len(rows) == HEAD_ROWS:
                    return dataset(dataset_id, registered, rows), size
                rows.append(row)
            if len(change.first_rows) < change.row_count:
                break
    return dataset(dataset_id, registered, rows), size


def _version(row: Row) -> DatasetVersion:
    version, change, recorded_us, first_row, rows_added, actor = row
    return DatasetVersion(
        version=version,
        change=change,
        created_at=rfc3339(recorded_us),
        first_row=first_row,
        rows_added=rows_added,
        row_count=first_row + rows_added,
        actor=actor or "",
    )
