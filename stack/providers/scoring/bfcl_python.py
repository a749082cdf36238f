"""Parses function calls that a model wrote in Python, without executing them."""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable
from typing import Any

from msgspec import Struct

MAX_DIGITS = 40
"""Maximum number of digits of a computed number; larger ones are not plausible arguments."""


class NoCall(ValueError):
    """The model's text is not a list of calls."""


class Call(Struct, frozen=True):
    """`arguments` maps names to values; a positional argument has the name ''."""

    name: str
    arguments: dict[str, Any]


_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


def python_calls(written: str) -> list[Call]:
    """Parses the calls in `[f(a=1), g(b="x")]`, with or without the brackets. Raises NoCall."""
    # Enclosing quotes are removed, because some models write the list as a string.
    parsed = _parsed(written.replace("\n", "").strip().strip("[]'"))
    if not isinstance(parsed, ast.List):
        raise NoCall("it is not a list of calls")
    try:
        return [_call(element) for element in parsed.elts]
    except RecursionError:
        raise NoCall("it is nested too deeply") from None


def _parsed(plain: str) -> ast.expr:
    try:
        with warnings.catch_warnings(action="ignore"):
            return ast.parse(f"[{plain}]", mode="eval").body
    except UnicodeEncodeError:
        raise NoCall("it is not valid Unicode text") from None
    except (SyntaxError, ValueError) as error:
        raise NoCall(f"it is not valid Python: {error.args[0]}") from None
    except (RecursionError, MemoryError):
        # Raised by the parser for nesting deeper than its own stack, regardless of available memory.
        raise NoCall("it is nested too deeply") from None


def _call(node: ast.expr) -> Call:
    if not isinstance(node, ast.Call):
        raise NoCall(f"it has {ast.unparse(node)[:80]!r} where a call should be")
    arguments: dict[str, Any] = {}
    for given in node.args:
        # A model may pass all arguments as one dictionary.
        if isinstance(given, ast.Dict):
            for key, value in zip(given.keys, given.values, strict=True):
                if not isinstance(key, ast.Constant):
                    raise NoCall("a name of an argument is not a constant")
                arguments[str(key.value)] = _value(value)
    for named in node.keywords:
        if named.arg is None:
            raise NoCall("it has arguments without names")
        arguments[named.arg] = _value(named.value)
    return Call(_name(node.func), arguments)


def _name(node: ast.expr) -> str:
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        parts.append(node.id)
    return ".".join(reversed(parts))


def _value(node: ast.expr) -> Any:
    """Returns an argument as a JSON value; names and expressions become their source text."""
    match node:
        case ast.Constant(value=value):
            return "..." if value is Ellipsis else value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.List(elts=elements):
            return [_value(element) for element in elements]
        case ast.Tuple(elts=elements):
            return tuple(_value(element) for element in elements)
        case ast.Dict(keys=keys, values=values):
            return {_key(key): _value(value) for key, value in zip(keys, values, strict=True)}
        case ast.Name(id=name):
            return name
        case ast.BinOp():
            return _computed(node)
        case ast.Call() if node.keywords:
            called = _call(node)
            return {called.name: called.arguments}
        case ast.Call() | ast.Lambda() | ast.Subscript() | ast.UnaryOp():
            return ast.unparse(node)
    raise NoCall(f"{ast.unparse(node)[:80]!r} is not an argument")


def _key(node: ast.expr | None) -> Any:
    key = _value(node) if node is not None else None
    if not isinstance(key, str | int | float):
        raise NoCall("a dictionary key is neither text nor a number")
    return key


def _computed(node: ast.expr) -> Any:
    """Returns the value of an expression of numbers; one that cannot be computed becomes its source text."""
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _computed(node.left), _computed(node.right)
        if isinstance(left, int | float) and isinstance(right, int | float):
            try:
                result = _OPERATORS[type(node.op)](left, right)
            except (ArithmeticError, ValueError):
                return ast.unparse(node)
            if abs(result) < 10**MAX_DIGITS:
                return result
        return ast.unparse(node)
    return _value(node) if not isinstance(node, ast.BinOp) else ast.unparse(node)
