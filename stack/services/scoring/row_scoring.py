"""Scores rows given as JSON text: those of a request, and those of a dataset."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import msgspec
from msgspec import Raw

from schemas.api.dataset import RegisterDatasetRequest, RowsDataSource
from schemas.api.scoring import ScoreBatchRequest, ScoreBatchResponse, ScoringResult
from stack.errors import Invalid, TooLarge
from stack.off_loop import off_loop_if
from stack.providers.rows.port import RowBlock
from stack.providers.scoring.port import ScoreRow
from stack.services.datasets.dataset import DatasetService
from stack.services.datasets.row_chunks import Blocks
from stack.services.effects import new_id
from stack.services.requests.caller import Caller
from stack.services.scoring.scoring import SLICE_ROWS, Functions, ScoredSlice, Scoring

MAX_SCORES = 400_000
"""Maximum product of rows and functions in one request: all scores are in its response."""
BLOCK_BYTES = 1 << 20
FEW_BYTES = 65_536

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode

Pieces = AsyncGenerator[Sequence[bytes], None]


class RowScoring:
    def __init__(self, scoring: Scoring, datasets: DatasetService) -> None:
        self._scoring = scoring
        self._datasets = datasets

    async def score(self, blocks: Blocks, functions: Functions) -> dict[str, ScoringResult]:
        """Scores the rows. Raises Invalid for functions and parameters that cannot be used, TooLarge."""
        await self._check(functions)
        scores: dict[str, list[ScoreRow]] = {name: [] for name in functions}
        async with aclosing(_texts(blocks)) as pieces:
            async for _, part in self._scored(pieces, functions, {}):
                count = _add(scores, part)
                if count * len(functions) > MAX_SCORES:
                    raise TooLarge(_too_many(len(functions), "input_rows has more"))
        return await self._scoring.results(functions, scores)

    async def score_batch(
        self, request: ScoreBatchRequest, caller: Caller, command: str
    ) -> ScoreBatchResponse:
        """Scores a dataset in its current version; if requested, saves the rows with their scores as another
        dataset.

        Raises NotFound, Invalid, Unavailable."""
        functions = request.scoring_functions
        await self._check(functions)
        version, count = await self._datasets.version(request.dataset_id)
        if count * len(functions) > MAX_SCORES:
            raise Invalid(_too_many(len(functions), f"Dataset {request.dataset_id!r} has {count:,}"))
        labels = {"dataset_id": request.dataset_id}
        scores: dict[str, list[ScoreRow]] = {name: [] for name in functions}
        saved = _Blocks()
        async with aclosing(self._datasets.pieces(request.dataset_id, version, 0, count)) as pieces:
            async for texts, part in self._scored(pieces, functions, labels):
                _add(scores, part)
                if request.save_results_dataset:
                    saved.add(texts, part)
        dataset_id = None
        if request.save_results_dataset:
            dataset_id = await self._save(request, version, saved, caller, command)
        return ScoreBatchResponse(await self._scoring.results(functions, scores), dataset_id)

    async def saved(self, dataset_id: str, functions: Functions) -> ScoreBatchResponse:
        """Returns the response to a request whose results were saved as this dataset. Raises NotFound."""
        version, count = await self._datasets.version(dataset_id)
        scores: dict[str, list[ScoreRow]] = {name: [] for name in functions}
        async with aclosing(self._datasets.pieces(dataset_id, version, 0, count)) as pieces:
            async for texts in pieces:
                for row in await _decoded(texts):
                    for name, score_rows in scores.items():
                        score_rows.append(row["scores"][name])
        return ScoreBatchResponse(await self._scoring.results(functions, scores), dataset_id)

    async def _check(self, functions: Functions) -> None:
        if not functions:
            raise Invalid(
                "scoring_functions is empty; name at least one. GET /v1/scoring-functions lists them."
            )
        self._scoring.check(functions, functions)
        await self._scoring.check_judges(functions)

    async def _scored(
        self, pieces: Pieces, functions: Functions, labels: Mapping[str, str]
    ) -> AsyncGenerator[tuple[Sequence[bytes], ScoredSlice], None]:
        async for texts in pieces:
            for start in range(0, len(texts), SLICE_ROWS):
                part = texts[start : start + SLICE_ROWS]
                async for scored in self._scoring.slices(await _decoded(part), functions, labels):
                    yield part, scored

    async def _save(
        self, request: ScoreBatchRequest, version: int, saved: _Blocks, caller: Caller, command: str
    ) -> str:
        said = {
            "dataset_id": request.dataset_id,
            "dataset_version": version,
            "scoring_functions": request.scoring_functions,
        }
        wanted = RegisterDatasetRequest(
            purpose="eval/question-answer",
            source=RowsDataSource([]),
            metadata={"scored": Raw(_encode(said))},
            dataset_id=f"scores-{new_id()}",
        )
        return await self._datasets.register(wanted, saved.take(), caller, command)


class _Blocks:
    """Collects rows, each with its scores, as blocks of text."""

    def __init__(self) -> None:
        self._done: list[RowBlock] = []
        self._lines: list[bytes] = []
        self._size = 0

    def add(self, texts: Sequence[bytes], part: ScoredSlice) -> None:
        for position, text in enumerate(texts):
            scores = _encode({name: rows[position] for name, rows in part.scores.items()})
            line = b'{"input":%b,"scores":%b}' % (text, scores)
            self._lines.append(line)
            self._size += len(line)
            if self._size >= BLOCK_BYTES:
                self._close()

    def _close(self) -> None:
        if self._lines:
            self._done.append(RowBlock(len(self._lines), b"\n".join(self._lines)))
        self._lines, self._size = [], 0

    def take(self) -> Sequence[RowBlock]:
        self._close()
        return self._done


async def _texts(blocks: Blocks) -> Pieces:
    if isinstance(blocks, AsyncIterator):
        async for block in blocks:
            yield block.lines.split(b"\n")
    else:
        for block in blocks:
            yield block.lines.split(b"\n")


async def _decoded(texts: Sequence[bytes]) -> list[dict[str, Any]]:
    return await off_loop_if(sum(map(len, texts)) > FEW_BYTES, _decoded_here, texts)


def _decoded_here(texts: Sequence[bytes]) -> list[dict[str, Any]]:
    return [_decode(text) for text in texts]


def _add(scores: Mapping[str, list[ScoreRow]], part: ScoredSlice) -> int:
    """Adds the scores and returns the number of rows so far."""
    for name, score_rows in part.scores.items():
        scores[name] += score_rows
    return max(map(len, scores.values()))


def _too_many(functions: int, who: str) -> str:
    return (
        f"{who} rows than {MAX_SCORES // functions:,}, which is as many as {functions} functions can score in one "
        "request. Score fewer at a time, or run a benchmark as a job."
    )
