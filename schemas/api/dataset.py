"""Datasets, their versions and what differs between two (spec tag: Datasets)."""

from __future__ import annotations

from typing import Literal

from msgspec import Raw, Struct

Purpose = Literal["post-training/messages", "eval/question-answer", "eval/messages-answer"]


class URIDataSource(Struct, frozen=True, tag_field="type", tag="uri", forbid_unknown_fields=True):
    uri: str


class RowsDataSource(Struct, frozen=True, tag_field="type", tag="rows", forbid_unknown_fields=True):
    """Rows are JSON objects, kept as their text. Of a dataset that is read, its first rows only."""

    rows: list[Raw]


DataSource = URIDataSource | RowsDataSource


class RegisterDatasetRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The values of `metadata` are kept as their text."""

    purpose: Purpose
    source: DataSource
    metadata: dict[str, Raw] | None = None
    dataset_id: str | None = None


class Dataset(Struct, frozen=True, kw_only=True):
    """`provider_id` is `huggingface` for rows from there, else `localfs`."""

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
    """One version of a dataset. `rows_added` came with it, behind the first `first_row`; it holds `row_count`."""

    version: int
    change: Literal["registered", "rows_appended"]
    created_at: str
    first_row: int
    rows_added: int
    row_count: int
    actor: str = ""


class DatasetDiff(Struct, frozen=True, kw_only=True):
    """What came between two versions: `rows_added` rows behind the first `first_row`; nothing else changes.

    `data` is a page of those rows, `has_more` whether more follow.
    """

    from_version: int
    to_version: int
    first_row: int
    rows_added: int
    data: list[Raw]
    has_more: bool
    url: str
