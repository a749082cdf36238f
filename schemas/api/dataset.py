"""Datasets, their versions and the difference between two versions (spec tag: Datasets)."""

from __future__ import annotations

from typing import Literal

from msgspec import Raw, Struct

Purpose = Literal["post-training/messages", "eval/question-answer", "eval/messages-answer"]


class URIDataSource(Struct, frozen=True, tag_field="type", tag="uri", forbid_unknown_fields=True):
    uri: str


class RowsDataSource(Struct, frozen=True, tag_field="type", tag="rows", forbid_unknown_fields=True):
    """Rows are JSON objects, kept as JSON text. When a dataset is read, only its first rows are included."""

    rows: list[Raw]


DataSource = URIDataSource | RowsDataSource


class RegisterDatasetRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Registers a dataset. The values of `metadata` are kept as JSON text."""

    purpose: Purpose
    source: DataSource
    metadata: dict[str, Raw] | None = None
    dataset_id: str | None = None


class Dataset(Struct, frozen=True, kw_only=True):
    """A dataset. `provider_id` is `huggingface` if the rows were loaded from there, otherwise `localfs`."""

    identifier: str
    provider_resource_id: str
    provider_id: str
    type: Literal["dataset"] = "dataset"
    purpose: Purpose
    source: DataSource
    metadata: Raw


class ListDatasetsResponse(Struct, frozen=True):
    data: list[Dataset]


class DatasetVersion(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One version of a dataset. It holds `row_count` rows: the first `first_row` rows and the `rows_added`
    after them."""

    version: int
    change: Literal["registered", "rows_appended"]
    created_at: str
    first_row: int
    rows_added: int
    row_count: int
    actor: str = ""


class DatasetDiff(Struct, frozen=True, kw_only=True):
    """The difference between two versions: `rows_added` rows after the first `first_row`. Nothing else ever
    changes.

    `data` is one page of the added rows; `has_more` is true if more follow.
    """

    from_version: int
    to_version: int
    first_row: int
    rows_added: int
    data: list[Raw]
    has_more: bool
    url: str
