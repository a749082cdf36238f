"""Makes answers fit the context of a model: long texts are shortened, and items that do not fit are left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

MAX_BYTES = 60_000
"""Maximum size of an answer as JSON, some 15,000 to 20,000 tokens."""
TEXT_CHARACTERS = (4_000, 400, 40)
"""Lengths to which texts are shortened: the first with which at least one item fits."""

_encode = msgspec.json.Encoder().encode


class Fitted(Struct, frozen=True):
    """The first items as far as they fit. `shortened` counts the texts that are not whole."""

    items: list[Any]
    shortened: int
    left_out: int


class DoesNotFit(Exception):
    """Not even one item fits."""


def shortened(text: str) -> str:
    return str(_Shortened(TEXT_CHARACTERS[1]).of(text))


def fitted(items: Sequence[Any]) -> Fitted:
    """Returns what fits. Raises DoesNotFit."""
    for characters in TEXT_CHARACTERS:
        kept: list[Any] = []
        count, size = 0, 0
        for item in items:
            shorter = _Shortened(characters)
            value = shorter.of(item)
            size += len(_encode(value))
            if size > MAX_BYTES:
                break
            kept.append(value)
            count += shorter.count
        if kept or not items:
            return Fitted(kept, count, len(items) - len(kept))
    raise DoesNotFit


class _Shortened:
    """Shortens texts within a value and counts them."""

    def __init__(self, characters: int) -> None:
        self._characters = characters
        self.count = 0

    def of(self, value: Any) -> Any:
        match value:
            case str() if len(value) > self._characters:
                self.count += 1
                more = len(value) - self._characters
                return f"{value[: self._characters]} [{more} more characters]"
            case list():
                return [self.of(one) for one in value]
            case dict():
                return {self.of(name): self.of(one) for name, one in value.items()}
        return value
