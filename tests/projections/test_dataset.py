"""The results of the read model of datasets for recorded events."""

from __future__ import annotations

import json

from projections import dataset
from projections.dataset import Chunk
from projections.warehouse.engine import Engine
from projections.warehouse.instance import Warehouse
from schemas.api.dataset import Dataset, RowsDataSource, URIDataSource
from schemas.events.dataset import HEAD_BYTES, HEAD_ROWS
from tests.projections import histories as h
from tests.projections.feeds import ListFeed

View = tuple[Warehouse, Engine]


def follow(view: View, position: int) -> Warehouse:
    warehouse, engine = view
    engine.reached_blocking(position, 10)
    return warehouse


def shown_rows(found: Dataset) -> list[int]:
    assert isinstance(found.source, RowsDataSource)
    return [json.loads(bytes(row))["row"] for row in found.source.rows]


def test_datasets_are_listed_in_the_order_of_registration(view: View, feed: ListFeed) -> None:
    feed.append(h.dataset_registered("b/1", 2), h.dataset_registered("a", 1))
    feed.append(h.rows_appended("b/1", 2, 1), h.rows_appended("a", 1, 1))
    uri = "https://example.com/rows.csv"
    reader = follow(view, feed.append(h.dataset_registered("c", 5, uri=uri, provider_id="huggingface")))
    first, second, third = dataset.listing(reader)
    assert [one.identifier for one in (first, second, third)] == ["b/1", "a", "c"]
    assert (shown_rows(first), shown_rows(second)) == ([0, 1, 2], [0, 1])
    assert third.source == URIDataSource(uri)
    assert (first.provider_id, third.provider_id) == ("localfs", "huggingface")
    assert json.loads(bytes(first.metadata)) == {"of": "b/1"}
    assert dataset.listing(reader, as_of=2)[0].identifier == "b/1"
    assert len(dataset.listing(reader, as_of=1)) == 1


def test_a_list_shows_the_first_hundred_rows_and_no_hole(view: View, feed: ListFeed) -> None:
    feed.append(h.dataset_registered("many", 60), h.rows_appended("many", 60, 60))
    head = [{"row": number} for number in range(3)]
    # A head that does not hold all rows of its change ends what is shown.
    cut = {"row_count": 9, "chunks": [h.blob_chunk(9)], "head": head}
    feed.append(h.dataset_registered("cut", 0, **cut))
    reader = follow(view, feed.append(h.rows_appended("cut", 9, 2)))
    many, short = dataset.listing(reader)
    assert shown_rows(many) == list(range(HEAD_ROWS))
    assert shown_rows(short) == [0, 1, 2]


def test_large_rows_are_not_listed(view: View, feed: ListFeed) -> None:
    rows = [{"row": number, "text": "x" * 20_000} for number in range(4)]
    chunk = {"count": 4, "bytes": 80_100, "blob": "", "rows": rows}
    reader = follow(view, feed.append(h.dataset_registered("large", 4, chunks=[chunk])))
    [found] = dataset.listing(reader)
    assert shown_rows(found) == [0, 1, 2]
    assert isinstance(found.source, RowsDataSource)
    assert sum(len(bytes(row)) for row in found.source.rows) <= HEAD_BYTES


def test_chunks_say_where_the_rows_are(view: View, feed: ListFeed) -> None:
    chunks = [h.blob_chunk(5000, "01" * 32), h.blob_chunk(70, "02" * 32)]
    feed.append(h.dataset_registered("d", 5070, chunks=chunks, head=[{"row": 0}]))
    feed.append(h.rows_appended("d", 5070, 3))
    feed.append(h.rows_appended("d", 5073, 1))
    reader = follow(view, feed.append(h.dataset_registered("other", 1)))
    found, versions = dataset.chunks(reader, "d")
    assert found == [
        Chunk(0, 5000, 1, "01" * 32),
        Chunk(5000, 70, 1, "02" * 32),
        Chunk(5070, 3, 2, ""),
        Chunk(5073, 1, 3, ""),
    ]
    assert versions == [(1, 5070), (2, 5073), (3, 5074)]
    assert dataset.chunks(reader, "d", after_version=2) == (found[3:], versions[2:])
    assert dataset.chunks(reader, "nothing") == ([], [])


def test_versions_come_in_pages(view: View, feed: ListFeed) -> None:
    feed.append(h.dataset_registered("d", 2))
    reader = follow(view, feed.append(h.rows_appended("d", 2, 5)))
    versions, more = dataset.versions_page(reader, "d")
    assert not more
    assert [(v.version, v.change, v.first_row, v.rows_added, v.row_count) for v in versions] == [
        (1, "registered", 0, 2, 2),
        (2, "rows_appended", 2, 5, 7),
    ]
    assert versions[0].actor == "key-1" and versions[0].created_at.endswith("000001Z")
    assert dataset.versions_page(reader, "d", 0, 1) == (versions[:1], True)
    assert dataset.versions_page(reader, "d", 1, 1) == (versions[1:], False)


def test_an_id_can_be_registered_anew_within_one_flush(view: View, feed: ListFeed) -> None:
    reader = follow(
        view,
        feed.append(
            h.dataset_registered("d", 2),
            h.dataset_unregistered("d"),
            h.dataset_registered("d", 5),
            h.dataset_registered("e", 1),
            h.dataset_unregistered("e"),
        ),
    )
    [found] = dataset.listing(reader)
    assert shown_rows(found) == [0, 1, 2, 3, 4]
    assert dataset.chunks(reader, "d")[1] == [(3, 5)]
    assert dataset.registration(reader, "e") is None
    registered = dataset.registration(reader, "d")
    assert registered is not None and registered.digest == "0d" * 32


def test_the_view_of_datasets_counts_their_rows(view: View, feed: ListFeed) -> None:
    warehouse = follow(view, feed.append(h.dataset_registered("d", 2), h.rows_appended("d", 2, 200)))
    with warehouse.write() as transaction:
        ((schema,),) = transaction.rows("SELECT schema_name FROM views.main.served")
        rows = transaction.rows(
            f"SELECT dataset_id, purpose, uri, row_count, version, actor FROM views.{schema}.datasets"
        )
    assert rows == [("d", "eval/question-answer", None, 202, 2, "key-1")]
