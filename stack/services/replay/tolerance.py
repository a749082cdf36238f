"""Which differences between a recorded run and another one do not count."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from schemas.session_file import Tolerance
from stack.domain.json_path import JsonPath
from stack.domain.tool_call import canonical
from stack.errors import Invalid

_NOT_A_WORD = re.compile(r"[\W_]+")
NONE = Tolerance()
TEXT_MODES = ("ignore", "exact", "normalised", "judge")
MAX_RUNS = 1_000


def arguments_key(arguments: str, tolerance: Tolerance) -> bytes:
    """Returns the canonical form of arguments without the ignored values."""
    if not tolerance.ignore:
        return canonical(arguments)
    try:
        value = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return canonical(arguments)
    return canonical(msgspec.json.encode(without(value, tolerance)).decode())


def check_tolerance(tolerance: Tolerance) -> None:
    """Raises Invalid for a tolerance that says nothing sensible."""
    if tolerance.text not in TEXT_MODES:
        modes = ", ".join(TEXT_MODES)
        raise Invalid(f"tolerance.text is {tolerance.text[:40]!r}; it must be one of: {modes}.")
    if tolerance.epsilon < 0:
        raise Invalid(f"tolerance.epsilon is {tolerance.epsilon}; it must be 0 or more.")
    for path in tolerance.ignore:
        _path(path)
    passes = tolerance.passes
    if passes is not None and not 1 <= passes.needed <= passes.of <= MAX_RUNS:
        raise Invalid(
            f"tolerance.pass is {passes.needed} of {passes.of}; give 1 to {MAX_RUNS} runs, of which as many or fewer are "
            "needed."
        )


def alike(one: Any, other: Any, tolerance: Tolerance) -> bool:
    """Returns whether two JSON values are equal apart from what is tolerated."""
    return _alike(without(one, tolerance), without(other, tolerance), tolerance.epsilon)


def without(value: Any, tolerance: Tolerance) -> Any:
    """Returns a JSON value without the values that the paths select."""
    if not tolerance.ignore:
        return value
    return _kept(value, [_path(path) for path in tolerance.ignore], ())


def same_text(one: str, other: str, mode: str) -> bool:
    """Returns whether two texts are equal: `ignore` (always), `exact`, `normalised` (case, white space and punctuation do
    not count), or `judge` (always: a model decides later)."""
    if mode in ("ignore", "judge") or one == other:
        return True
    return mode == "normalised" and _normalised(one) == _normalised(other)


def _normalised(text: str) -> str:
    return _NOT_A_WORD.sub(" ", text.casefold()).strip()


def _alike(one: Any, other: Any, epsilon: float) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(one[key], other[key], epsilon) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other, [epsilon] * len(one)))
    if _is_number(one) and _is_number(other):
        return bool(one == other) or math.isclose(one, other, rel_tol=0.0, abs_tol=epsilon)
    return type(one) is type(other) and bool(one == other)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@lru_cache(maxsize=256)
def _path(text: str) -> JsonPath:
    return JsonPath(text, "tolerance.ignore")


def _kept(value: Any, paths: Sequence[JsonPath], keys: tuple[str | int, ...]) -> Any:
    def is_kept(key: str | int) -> bool:
        return not any(path.matches((*keys, key)) for path in paths)

    if isinstance(value, dict):
        return {key: _kept(one, paths, (*keys, key)) for key, one in value.items() if is_kept(key)}
    if isinstance(value, list):
        return [_kept(one, paths, (*keys, key)) for key, one in enumerate(value) if is_kept(key)]
    return value
