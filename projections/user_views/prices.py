"""Prices of models. They come from the settings and are never stored, so a change of them changes all costs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta, Struct

Dollars = Annotated[float, Meta(ge=0, le=1e9)]


class Price(Struct, frozen=True, forbid_unknown_fields=True):
    """US dollars for a million tokens. `model` is `<provider>/<model>`, in which `*` matches any text. Without
    `cached_input_per_million`, input that the model's server read from a cache costs as much as other input."""

    model: Annotated[str, Meta(min_length=1, max_length=200)]
    input_per_million: Dollars
    output_per_million: Dollars
    cached_input_per_million: Dollars | None = None


def statement(prices: Iterable[Price]) -> str:
    """Returns the CREATE VIEW statement of `_prices`: patterns for GLOB in the order of precedence, and dollars for one
    token."""
    rows = [_row(place, price) for place, price in enumerate(prices)]
    if not rows:
        # A view without rows that has the types.
        rows = ["(0, NULL::VARCHAR, NULL::DOUBLE, NULL::DOUBLE, NULL::DOUBLE)"]
    return (
        "CREATE VIEW _prices AS\nSELECT * FROM (VALUES "
        f"{', '.join(rows)}) AS price(place, pattern, input_usd, output_usd, cached_usd) WHERE pattern IS NOT NULL"
    )


def _row(place: int, price: Price) -> str:
    cached = price.cached_input_per_million
    dollars = (
        price.input_per_million,
        price.output_per_million,
        price.input_per_million if cached is None else cached,
    )
    return f"({place}, {_pattern(price.model)}, {', '.join([f'{one / 1e6!r}::DOUBLE' for one in dollars])})"


def _pattern(model: str) -> str:
    """Returns the pattern as a literal: of the characters that mean something to GLOB only `*` does."""
    escaped = "".join([f"[{one}]" if one in "?[" else one for one in model])
    escaped = escaped.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
