"""The header `Accept` (RFC 9110, section 12.5.1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from stack.errors import NotAcceptable

F = TypeVar("F")


def accepted(header: str, media_types: Mapping[F, str]) -> F:
    """Returns the format that the header likes best; of equals the first, as without a header. Parameters of media types other
    than `q` are ignored. Raises NotAcceptable."""
    ranges = list(_ranges(header))
    if not ranges:
        return next(iter(media_types))
    best = max(media_types, key=lambda one: _quality(ranges, media_types[one]))
    if not _quality(ranges, media_types[best]):
        offered = ", ".join(media_types.values())
        raise NotAcceptable(f"Accept names no media type that is offered: {offered}.")
    return best


def _ranges(header: str) -> Iterable[tuple[str, float]]:
    for part in header.lower().split(","):
        media_range, *parameters = [one.strip() for one in part.split(";")]
        if media_range:
            yield media_range, _weight(parameters)


def _weight(parameters: list[str]) -> float:
    for one in parameters:
        name, _, value = one.partition("=")
        if name.strip() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0


def _quality(ranges: list[tuple[str, float]], media_type: str) -> float:
    """Returns the weight of the most specific range that contains the type, 0 if none does."""
    for specific in (media_type, f"{media_type.partition('/')[0]}/*", "*/*"):
        found = [weight for media_range, weight in ranges if media_range == specific]
        if found:
            return max(found)
    return 0.0
