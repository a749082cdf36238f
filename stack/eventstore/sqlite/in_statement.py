"""Statements that look up many values at once, `... IN (?, ?, ...)`, compiled once for each of a few
sizes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

# With 200 parameters a look-up of 32 streams takes 76 us, with 64 it takes 56, one by one 98.
_SIZES = (1, 8, 64, 200)


class InStatement:
    """`template` contains `{}` in place of the placeholders."""

    def __init__(self, template: str) -> None:
        self._statements = {size: template.format(", ".join("?" * size)) for size in _SIZES}

    def over(self, values: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
        """Yields pairs of a statement and its parameters that together cover `values`; the last value is
        repeated to fill unused placeholders."""
        remaining = iter(values)
        while chunk := list(islice(remaining, _SIZES[-1])):
            size = next(size for size in _SIZES if size >= len(chunk))
            chunk.extend([chunk[-1]] * (size - len(chunk)))
            yield self._statements[size], chunk
