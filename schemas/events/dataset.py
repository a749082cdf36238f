"""Events of `dataset/<dataset_id>`. Each change is a version of the dataset: the version of its event in the stream.

An id may be used again after it was unregistered; versions continue from the last one and are never used
twice.
"""

from __future__ import annotations

from msgspec import Raw, Struct

from schemas.events.base import Deletion, Event

HEAD_ROWS = 100
HEAD_BYTES = 64 * 1024
"""Upper bounds on the first rows that an event holds in addition to the chunks, and that a list of datasets
shows."""


class RowChunk(Struct, frozen=True, omit_defaults=True):
    """Consecutive rows, each a JSON object whose text is kept as it is, without white space.

    `blob` is the SHA-256 (hex) of a blob with one row per line; it is empty if `rows` is the JSON array of
    the rows itself. `bytes` is the length of the rows in this form.
    """

    count: int
    bytes: int
    blob: str
    rows: Raw = Raw(b"[]")


class DatasetRegistered(Event, frozen=True, tag="dataset.registered.1"):
    """Creates a dataset with `row_count` rows in `chunks`. `uri` is empty if the rows were sent with the
    request.

    `digest` is the SHA-256 (hex) of the rows, one per line. `head` is the JSON array of the first rows (at
    most 100 and 64 KiB) if the first chunk is a blob. `metadata` is the JSON object that was sent.
    """

    purpose: str
    provider_id: str
    row_count: int
    digest: str
    chunks: list[RowChunk]
    metadata: Raw = Raw(b"{}")
    uri: str = ""
    head: Raw = Raw(b"[]")


class DatasetRowsAppended(Event, frozen=True, tag="dataset.rows_appended.1"):
    """Adds `row_count` rows after the first `first_row`. `head` is as in `DatasetRegistered`, and present
    only while it can belong to the dataset's first 100 rows."""

    first_row: int
    row_count: int
    chunks: list[RowChunk]
    head: Raw = Raw(b"[]")


class DatasetUnregistered(Deletion, frozen=True, tag="dataset.unregistered.1"):
    """The content of all earlier events of the stream is redacted in the same transaction."""


EVENTS = (DatasetRegistered, DatasetRowsAppended, DatasetUnregistered)
DatasetEvent = DatasetRegistered | DatasetRowsAppended | DatasetUnregistered
