"""A curve of losses as lines of text."""

from __future__ import annotations

from collections.abc import Sequence

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bits of a braille character's dots, by row and column."""


def curve(losses: Sequence[float], width: int, height: int) -> list[str]:
    """Returns `height` lines of at most `width` characters: the curve with its highest and lowest values at the left.
    Each column of dots is the mean of the losses that fall into it. Empty without losses."""
    if not losses:
        return []
    high, low = max(losses), min(losses)
    labels = [f"{high:.4g}", *[""] * (height - 2), f"{low:.4g}"]
    margin = max(map(len, labels))
    columns = _means(losses, 2 * (width - margin - 2))
    rows = 4 * height
    cells = [[0] * ((len(columns) + 1) // 2) for _ in range(height)]
    for number, value in enumerate(columns):
        part = (value - low) / (high - low) if high > low else 0.0
        row = round((1 - part) * (rows - 1))
        cells[row // 4][number // 2] |= _DOTS[row % 4][number % 2]
    lines = ["".join(chr(0x2800 + one) for one in cell) for cell in cells]
    return [f"{label:>{margin}} ┤{line}" for label, line in zip(labels, lines, strict=True)]


def _means(losses: Sequence[float], count: int) -> list[float]:
    """Returns at most `count` means of consecutive losses."""
    if len(losses) <= count:
        return list(losses)
    edges = [number * len(losses) // count for number in range(count + 1)]
    parts = [losses[edges[number] : edges[number + 1]] for number in range(count)]
    return [sum(part) / len(part) for part in parts]
