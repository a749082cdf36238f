"""Saves spans to a dataset: one row per span, ordered by time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Literal, Protocol

import msgspec
from msgspec import Raw

from projections import spans as span_views
from projections.spans import SpanRow
from projections.warehouse.snapshot import Snapshot
from schemas.api.dataset import RegisterDatasetRequest, RowsDataSource
from schemas.api.telemetry import SaveSpansToDatasetRequest
from stack.domain import dataset as datasets
from stack.errors import Conflict, Invalid, NotFound
from stack.providers.rows.port import RowBlock
from stack.services.requests.caller import Caller
from stack.services.telemetry import span_answers, span_reading
from stack.services.telemetry.telemetry import TelemetryService
from telemetry.query.parse_filters import parse_filters
from telemetry.query.span_query import checked_depth, wanted_attributes

MAX_SPANS = 200_000
"""Maximum number of spans in one request, which is one append."""
BLOCK_BYTES = 2**20
BATCH = 500
"""Number of rows that are read at once."""
PURPOSE: Literal["eval/question-answer"] = "eval/question-answer"
"""The purpose of datasets created here; the contract has no purpose that fits better."""
FIXED = ("trace_id", "span_id", "parent_span_id", "name", "start_time", "end_time")
"""The fields of every row. An attribute with such a name is saved as `attributes.<name>`."""

_encode = msgspec.json.Encoder().encode
_raw_object = msgspec.json.Decoder(dict[str, Raw])
_NULL = Raw(b"null")


class Datasets(Protocol):
    """The required methods of datasets."""

    async def append(
        self, dataset_id: str, blocks: AsyncIterator[RowBlock], caller: Caller, command: str = ""
    ) -> int:
        """Appends rows. Raises NotFound."""
        ...

    async def register(
        self,
        request: RegisterDatasetRequest,
        blocks: AsyncIterator[RowBlock],
        caller: Caller,
        command: str,
    ) -> str:
        """Registers a dataset. Raises Conflict if another dataset has the id."""
        ...


class SpanExport:
    def __init__(self, telemetry: TelemetryService, store: Datasets) -> None:
        self._telemetry = telemetry
        self._datasets = store

    async def export(self, request: SaveSpansToDatasetRequest, caller: Caller, command: str = "") -> None:
        """Saves all found spans, or none of them. The dataset is created if it does not exist, even without
        spans. Raises Invalid, Conflict, Unavailable."""
        datasets.check_id(request.dataset_id)
        numbers = await self._numbers(request)
        columns = columns_of(wanted_attributes(request.attributes_to_save, "attributes_to_save"))
        try:
            await self._append(request.dataset_id, numbers, columns, caller, command)
            return
        except NotFound:
            pass
        wanted = RegisterDatasetRequest(
            purpose=PURPOSE, source=RowsDataSource([]), dataset_id=request.dataset_id
        )
        try:
            await self._datasets.register(wanted, self._blocks(numbers, columns), caller, command)
        except Conflict:
            # Another request has created it in the meantime.
            await self._append(request.dataset_id, numbers, columns, caller, command)

    async def _append(
        self,
        dataset_id: str,
        numbers: Sequence[int],
        columns: Sequence[tuple[str, str]],
        caller: Caller,
        command: str,
    ) -> None:
        await self._datasets.append(dataset_id, self._blocks(numbers, columns), caller, command)

    async def _numbers(self, request: SaveSpansToDatasetRequest) -> list[int]:
        filters = parse_filters(request.attribute_filters)
        max_depth = checked_depth(request.max_depth)
        keys = await self._telemetry.read(span_reading.matching_keys, filters, max_depth, MAX_SPANS)
        if len(keys) > MAX_SPANS:
            raise Invalid(
                f"More than {MAX_SPANS} spans match; export them in parts, for example by span.start_time."
            )
        return [key.number for key in keys]

    async def _blocks(
        self, numbers: Sequence[int], columns: Sequence[tuple[str, str]]
    ) -> AsyncIterator[RowBlock]:
        """Reads a part at a time, so that the memory does not grow with the export."""
        waiting: list[bytes] = []
        size = 0
        for first in range(0, len(numbers), BATCH):
            for line in await self._telemetry.read(_lines, numbers[first : first + BATCH], columns):
                waiting.append(line)
                size += len(line)
                if size >= BLOCK_BYTES:
                    yield RowBlock(len(waiting), b"\n".join(waiting))
                    waiting, size = [], 0
        if waiting:
            yield RowBlock(len(waiting), b"\n".join(waiting))


def columns_of(attributes: Sequence[str]) -> list[tuple[str, str]]:
    """Returns the attributes, each with the name of its column."""
    return [(name, f"attributes.{name}" if name in FIXED else name) for name in attributes]


def _lines(snapshot: Snapshot, numbers: Sequence[int], columns: Sequence[tuple[str, str]]) -> list[bytes]:
    """Returns rows as JSON. A span that was removed since its number was read is left out."""
    rows = {row.number: row for row in span_views.numbered(snapshot, numbers)}
    lines: list[bytes] = []
    waiting = [rows[number] for number in numbers if number in rows]
    while waiting:
        read = span_views.fill(snapshot, waiting, span_reading.MAX_ANSWER_BYTES)
        lines += [_line(row, columns) for row in read]
        waiting = waiting[len(read) :]
    return lines


def _line(row: SpanRow, columns: Sequence[tuple[str, str]]) -> bytes:
    span = span_answers.span(row)
    found = _raw_object.decode(row.attributes or "{}")
    fixed = {name: getattr(span, name) for name in FIXED}
    return _encode(fixed | {column: found.get(name, _NULL) for name, column in columns})
