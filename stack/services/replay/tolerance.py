"""Which differences between a recorded run and another one do not count."""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec

from schemas.session_file import Tolerance
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
    """Returns a JSON value without what the paths name: `$.a.b`, `$.rows[0].id`, and `*` for each key or index."""
    for path in tolerance.ignore:
        value = _removed(value, _parts(path))
    return value


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


def _parts(path: str) -> list[str]:
    """Splits `$.rows[*].id` into its keys and indexes."""
    return [part for part in re.split(r"\.|\[|\]", path.removeprefix("$")) if part]


def _removed(value: Any, parts: list[str]) -> Any:
    if not parts:
        return value
    part, rest = parts[0], parts[1:]
    if isinstance(value, dict):
        if not rest:
            return {} if part == "*" else {key: one for key, one in value.items() if key != part}
        return {key: _removed(one, rest) if part in (key, "*") else one for key, one in value.items()}
    if isinstance(value, list) and (part == "*" or part.isdecimal()):
        chosen = range(len(value)) if part == "*" else (int(part),)
        if not rest:
            return [one for index, one in enumerate(value) if index not in chosen]
        return [_removed(one, rest) if index in chosen else one for index, one in enumerate(value)]
    return value
