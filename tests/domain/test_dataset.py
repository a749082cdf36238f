"""The decisions about datasets, and the state that their events fold to."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import Raw

from schemas.events.base import Event, Redacted
from schemas.events.dataset import (
    HEAD_BYTES,
    HEAD_ROWS,
    DatasetRegistered,
    DatasetRowsAppended,
    DatasetUnregistered,
    RowChunk,
)
from stack.domain import dataset as datasets
from stack.domain.dataset import DatasetState, NewRows
from stack.errors import NotFound

HEAD = Raw(b'[{"a":1}]')


def rows(count: int) -> NewRows:
    return NewRows(count, "0" * 64, [RowChunk(count, 9 * count, "f" * 64)], HEAD)


def registered(count: int) -> list[Event]:
    return datasets.register("eval/question-answer", "localfs", "", Raw(b"{}"), rows(count))


def folded(*events: Event) -> DatasetState:
    state = DatasetState()
    for version, event in enumerate(events, 1):
        state = datasets.evolve(state, event, version, version)
    return state


def test_an_append_begins_behind_the_last_row() -> None:
    state = folded(*registered(3))
    assert state == DatasetState(True, 3)
    [event] = datasets.append(state, rows(4))
    assert isinstance(event, DatasetRowsAppended)
    assert (event.first_row, event.row_count) == (3, 4)
    assert folded(*registered(3), event) == DatasetState(True, 7)


def test_the_last_event_alone_says_as_much_as_all() -> None:
    events: list[Event] = registered(3)
    for count in (1, 5, 2):
        events += datasets.append(folded(*events), rows(count))
        assert folded(events[-1]) == folded(*events)
    assert folded(*events, DatasetUnregistered()) == DatasetState()
    assert folded(Redacted(), Redacted(), DatasetUnregistered(), *registered(2)) == DatasetState(True, 2)


def test_what_is_unregistered_is_not_found() -> None:
    with pytest.raises(NotFound, match="'a/b'"):
        datasets.existing(folded(*registered(1), DatasetUnregistered()), "a/b")


@pytest.mark.parametrize(("before", "kept"), [(0, True), (HEAD_ROWS - 1, True), (HEAD_ROWS, False)])
def test_only_the_first_rows_of_a_dataset_are_kept_as_its_head(before: int, kept: bool) -> None:
    [event] = datasets.append(DatasetState(True, before), rows(1))
    assert isinstance(event, DatasetRowsAppended)
    assert (event.head == HEAD) is kept
    [first] = registered(1)
    assert isinstance(first, DatasetRegistered) and first.head == HEAD


def test_a_head_ends_at_100_rows_and_at_64_kib() -> None:
    assert bytes(datasets.head_of([])) == b"[]"
    assert bytes(datasets.head_of([b"{}", b'{"a":1}'])) == b'[{},{"a":1}]'
    assert len(msgspec.json.decode(datasets.head_of([b"{}"] * 1000))) == HEAD_ROWS
    row = b'{"a":"%b"}' % (b"x" * 1000)
    head = bytes(datasets.head_of([row] * 1000))
    assert HEAD_BYTES - len(row) <= len(head) <= HEAD_BYTES
    assert bytes(datasets.head_of([b'{"a":"%b"}' % (b"x" * HEAD_BYTES), b"{}"])) == b"[]"
