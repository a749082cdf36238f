"""The rows of a job that still have to be evaluated, in order, as they are read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple

import msgspec
from msgspec import Raw

from schemas.events.evaljob import EvalJobScheduled
from stack.domain.evaljob import EvalJobState
from stack.errors import RowsDamaged
from stack.eventstore import is_damaged_text
from stack.off_loop import LARGE_JSON_BYTES, off_loop_if
from stack.services.datasets.dataset import DatasetService

_rows = msgspec.json.Decoder(list[Raw])


class RowText(NamedTuple):
    """A row by its number from 0, and its JSON; `error` is why it cannot be read."""

    number: int
    text: bytes
    error: str = ""


class MissingRows:
    """Gives each row without a result to one of several concurrent callers."""

    def __init__(self, datasets: DatasetService, state: EvalJobState) -> None:
        self._datasets = datasets
        self._state = state
        self._turn = asyncio.Lock()
        self._rows: AsyncGenerator[RowText, None] | None = None

    async def next(self) -> RowText | None:
        """Returns the next row, None at the end. Raises NotFound if the dataset is unregistered; rows read
        earlier are not returned then."""
        scheduled = self._state.scheduled
        assert scheduled is not None
        async with self._turn:
            if self._rows is None:
                self._rows = self._missing(scheduled)
            row = await anext(self._rows, None)
            if row is not None and scheduled.dataset_id:
                await self._datasets.version(scheduled.dataset_id, scheduled.dataset_version)
            return row

    async def aclose(self) -> None:
        if self._rows is not None:
            await self._rows.aclose()

    async def _missing(self, scheduled: EvalJobScheduled) -> AsyncGenerator[RowText, None]:
        done, count = self._state.done, scheduled.num_rows
        first = next(done.missing(count), count)
        if not scheduled.dataset_id:
            if is_damaged_text(scheduled.rows):
                for number in done.missing(count):
                    yield RowText(number, b"", scheduled.rows)
                return
            for number, row in enumerate(await _taken_apart(scheduled.rows)):
                if first <= number < count and number not in done:
                    yield RowText(number, row)
            return
        number = first
        while number < count:
            pieces = self._datasets.pieces(scheduled.dataset_id, scheduled.dataset_version, number, count)
            try:
                async for piece in pieces:
                    for text in piece:
                        if number not in done:
                            yield RowText(number, text)
                        number += 1
                return
            except RowsDamaged as error:
                end = min(error.first + error.count, count)
                for damaged in range(number, end):
                    if damaged not in done:
                        yield RowText(damaged, b"", error.detail)
                number = end
            finally:
                await pieces.aclose()


async def _taken_apart(rows: str) -> Sequence[bytes]:
    text = rows.encode()
    return await off_loop_if(len(text) > LARGE_JSON_BYTES, lambda: [bytes(row) for row in _rows.decode(text)])
