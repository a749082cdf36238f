"""Checks results of math-verify numerically: it rounds to six decimal places and ignores small
differences."""

from __future__ import annotations

from typing import Any

from sympy import (  # type: ignore[import-untyped]
    Abs,
    Basic,
    Eq,
    Expr,
    Float,
    Interval,
    MatrixBase,
    N,
    Rational,
    Set,
    Tuple,
)
from sympy import FiniteSet as Finite

DIGITS = 60
EXACT = Rational(1, 10**40)
PLACES = Rational(1, 2 * 10**6)
RELATIVE = Rational(2, 10**6)
POINTS = (Rational(13, 10), Rational(27, 11), Rational(5, 13))
"""Values for variables: the first one is used for the first variable, and so on, cyclically."""
MAX_ELEMENTS = 64


def contradict(gold: Any, target: Any) -> bool:
    """Returns whether the values of two expressions differ. False if this cannot be determined."""
    gold, target = _unwrapped(gold, target)
    one, other = _elements(gold), _elements(target)
    if one is not None and other is not None:
        return _elements_contradict(gold, one, target, other)
    if isinstance(gold, Expr) and isinstance(target, Expr):
        return all(_differ(gold * factor, target) for factor in _factors(gold, target))
    return False


def _unwrapped(gold: Any, target: Any) -> tuple[Any, Any]:
    """Returns the right sides of two assignments to one variable, or of one assignment and a value."""
    if isinstance(gold, Eq) and isinstance(target, Eq):
        return (gold.rhs, target.rhs) if gold.lhs == target.lhs and gold.lhs.is_Symbol else (gold, target)
    if isinstance(gold, Eq) and gold.lhs.is_Symbol:
        return gold.rhs, target
    if isinstance(target, Eq) and target.lhs.is_Symbol:
        return gold, target.rhs
    return gold, target


def _elements(value: Any) -> list[Any] | None:
    if isinstance(value, Interval):
        return [value.start, value.end]
    if isinstance(value, MatrixBase):
        return list(value.flat())
    if isinstance(value, Tuple | Finite) or (isinstance(value, Set) and hasattr(value, "_unsorted_args")):
        return list(value.args)
    return None


def _elements_contradict(gold: Any, one: list[Any], target: Any, other: list[Any]) -> bool:
    if len(one) != len(other) or len(one) > MAX_ELEMENTS:
        return False
    if isinstance(gold, Finite) or isinstance(target, Finite):
        return any(all(contradict(a, b) for b in other) for a in one)
    return any(contradict(a, b) for a, b in zip(one, other, strict=True))


def _factors(gold: Basic, target: Basic) -> tuple[Rational, ...]:
    """math-verify accepts both 0.09 and 9 for 9 %."""
    percent = any("UnevaluatedExpr" in type(part).__name__ for one in (gold, target) for part in one.args)
    return (Rational(1), Rational(100), Rational(1, 100)) if percent else (Rational(1),)


def _differ(a: Expr, b: Expr) -> bool:
    symbols = sorted(a.free_symbols | b.free_symbols, key=str)
    rounded = a.has(Float) or b.has(Float)
    for shift in range(len(POINTS) if symbols else 1):
        at = {symbol: POINTS[(number + shift) % len(POINTS)] for number, symbol in enumerate(symbols)}
        first, second = (N(one.doit().subs(at), DIGITS) for one in (a, b))
        if not (first.is_number and second.is_number and first.is_finite and second.is_finite):
            return False
        distance, size = Abs(first - second), max(Abs(first), Abs(second))
        limit = min(PLACES, RELATIVE * size) if rounded else EXACT * size
        if distance > limit:
            return True
    return False
