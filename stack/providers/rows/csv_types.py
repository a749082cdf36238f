"""Determines which columns of a CSV file are numbers or booleans: every cell must have the same text after
conversion."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from msgspec import Raw

Kind = Literal["integer", "number", "boolean", "string"]

Cell = str | None
"""None for an empty cell without quotes."""

_INT64 = range(-(2**63), 2**63)
_KINDS: tuple[Kind, ...] = ("integer", "number", "boolean")


def _integers(cells: Sequence[str]) -> bool:
    numbers = list(map(int, cells))
    return list(map(str, numbers)) == cells and min(numbers) in _INT64 and max(numbers) in _INT64


def _numbers(cells: Sequence[str]) -> bool:
    numbers = list(map(float, cells))
    if not all(map(math.isfinite, numbers)):
        return False
    return all(
        text == cell or _integers([cell]) for text, cell in zip(map(repr, numbers), cells, strict=True)
    )


def _booleans(cells: Sequence[str]) -> bool:
    return {"true", "false"}.issuperset(cells)


_FITS: dict[Kind, Callable[[Sequence[str]], bool]] = {
    "integer": _integers,
    "number": _numbers,
    "boolean": _booleans,
}
_WIDER: dict[Kind, tuple[Kind, ...]] = {
    "integer": ("integer", "number"),
    "number": ("number",),
    "boolean": ("boolean",),
}


class ColumnKinds:
    """Narrows down the types of columns while rows are read."""

    def __init__(self, width: int) -> None:
        # Columns that may still be something other than strings; None means that no cell has been seen.
        self._open: dict[int, Kind | None] = dict.fromkeys(range(width))
        self._width = width

    @property
    def decided(self) -> bool:
        """Returns whether all columns are strings, so that further rows change nothing."""
        return not self._open

    def look_at(self, rows: Sequence[Sequence[Cell]]) -> None:
        for index, kind in list(self._open.items()):
            cells = [cell for row in rows if (cell := row[index]) is not None]
            if not cells:
                continue
            candidates = _WIDER[kind] if kind else _KINDS
            fitting = next((kind for kind in candidates if _fits(kind, cells)), None)
            if fitting is None:
                del self._open[index]
            else:
                self._open[index] = fitting

    def kinds(self) -> list[Kind]:
        return [self._open.get(index) or "string" for index in range(self._width)]


def values(cells: Iterable[Cell], kind: Kind) -> Iterable[object]:
    """Returns the cells of a column as JSON values. Numbers keep their text."""
    if kind == "string":
        return cells
    if kind == "boolean":
        return [None if cell is None else cell == "true" for cell in cells]
    return [None if cell is None else Raw(cell) for cell in cells]


def _fits(kind: Kind, cells: Sequence[str]) -> bool:
    try:
        return _FITS[kind](cells)
    except ValueError:
        return False
