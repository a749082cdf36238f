"""Compares the calls of a model with the expected ones, by the rules of BFCL.

The expected calls are `{name: {argument: [value, ...]}}` with all correct values; `""` among them means that
the argument may be omitted. The functions return a description of the error; an empty text means that there
is none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from stack.providers.scoring.bfcl_python import Call
from stack.providers.scoring.bfcl_source import Source
from stack.providers.scoring.port import RowFault

PYTHON_TYPES: dict[str, type] = {
    "string": str, "integer": int, "float": float, "boolean": bool, "array": list, "tuple": list, "dict": dict, "any": str,
}  # fmt: skip
JAVA_TYPES: dict[str, type] = {
    "byte": int, "short": int, "integer": int, "long": int, "float": float, "double": float, "boolean": bool, "char": str,
    "String": str, "any": str, "Array": list, "ArrayList": list, "Queue": list, "Stack": list, "Set": list,
    "HashMap": dict, "Hashtable": dict,
}  # fmt: skip
JAVASCRIPT_TYPES: dict[str, type] = {
    "String": str, "integer": int, "float": float, "Bigint": int, "Boolean": bool, "dict": dict, "array": list, "any": str,
}  # fmt: skip
TYPES = {"Python": PYTHON_TYPES, "Java": JAVA_TYPES, "JavaScript": JAVASCRIPT_TYPES}
NESTED = frozenset(("array", "tuple", "Array", "ArrayList"))

_IGNORED = re.compile(r"[ ,./\-_*^]")


class Asked(Struct, frozen=True):
    """The expectation for one argument: its type, the type of its elements, and the correct values."""

    kind: type
    nested: type | None
    values: Sequence[Any]


def wrong_calls(
    functions: Sequence[Mapping[str, Any]],
    calls: Sequence[Call],
    expected: Sequence[Mapping[str, Any]],
    category: str,
    language: str,
) -> str:
    """Returns the error in the calls, if any. In a parallel category their order is free."""
    if not expected:
        raise RowFault("'ground_truth' holds no call.")
    if len(calls) != (len(expected) if "parallel" in category or "multiple" in category else 1):
        return f"There are {len(calls)} calls; {len(expected)} are expected."
    if "parallel" not in category:
        function = _description(functions, expected[0]) if "multiple" in category else functions[0]
        return wrong_call(function, calls[0], expected[0], language)
    left = list(calls)
    for wanted in expected:
        function = _description(functions, wanted)
        found = next((call for call in left if not wrong_call(function, call, wanted, language)), None)
        if found is None:
            return f"No call is the expected one of {next(iter(wanted))!r}."
        left.remove(found)
    return ""


def _description(functions: Sequence[Mapping[str, Any]], wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    name = next(iter(wanted), None)
    for function in functions:
        if function.get("name") == name:
            return function
    raise RowFault(f"'function' does not describe {name!r}, which 'ground_truth' expects.")


def wrong_call(function: Mapping[str, Any], call: Call, wanted: Mapping[str, Any], language: str) -> str:
    try:
        possible = next(iter(wanted.values()))
        name, parameters = function["name"], function["parameters"]
        properties, required = parameters["properties"], parameters.get("required", ())
    except (KeyError, TypeError, AttributeError, StopIteration) as error:
        raise RowFault(f"'function' or 'ground_truth' is not as BFCL has it: {error!r}.") from None
    if call.name != name:
        return f"{call.name!r} is called; {name!r} is expected."
    for parameter in required:
        if parameter not in call.arguments:
            return f"The argument {parameter!r} is missing."
    for parameter, given in call.arguments.items():
        if parameter not in properties or parameter not in possible:
            return f"The argument {parameter!r} is not expected."
        problem = _wrong_argument(given, properties[parameter], possible[parameter], language)
        if problem:
            return f"The argument {parameter!r}: {problem}"
    for parameter, values in possible.items():
        if parameter not in call.arguments and "" not in values:
            return f"The argument {parameter!r} is missing."
    return ""


def _wrong_argument(given: Any, described: Mapping[str, Any], values: Sequence[Any], language: str) -> str:
    types = TYPES[language]
    name = described.get("type", "")
    nested = described.get("items", {}).get("type") if name in NESTED else None
    for one in (name, nested):
        if one is not None and one not in types:
            raise RowFault(f"'function' has the type {one!r}; {language} has {', '.join(types)}.")
    if isinstance(given, Source):
        given = given.value(name, nested)
    elif name == "tuple" and isinstance(given, tuple):
        given = list(given)
    elif name == "float" and type(given) is int:
        given = float(given)
    asked = Asked(types[name], types[nested] if nested is not None else None, values)
    return _wrong_value(given, asked)


def _wrong_value(given: Any, asked: Asked) -> str:
    variable = _is_variable(given, asked)
    if variable is None and type(given) is asked.kind:
        return "its elements have the wrong type."
    if variable is None:
        return f"it is a {type(given).__name__}; a {asked.kind.__name__} is expected."
    right = any(given == value for value in asked.values)
    if not variable:
        if asked.kind is dict:
            right = any(isinstance(value, dict) and _same_dict(given, value) for value in asked.values)
        elif asked.kind is list and asked.nested is dict:
            right = any(isinstance(value, list) and _same_dicts(given, value) for value in asked.values)
        elif asked.kind is str:
            right = plain(given) in [plain(value) for value in asked.values if isinstance(value, str)]
        elif asked.kind is list:
            lists = [[] if value == "" else value for value in asked.values]
            same = [plain(one) for one in given]
            right = any(isinstance(value, list) and [plain(one) for one in value] == same for value in lists)
    return "" if right else f"{str(given)[:80]!r} is none of the expected values."


def _is_variable(given: Any, asked: Asked) -> bool | None:
    """Returns whether a variable is given instead of the value; None if the type is wrong. A value whose type
    differs from the parameter's is a variable if the correct values have that type too."""
    usual = _usual_type(asked.values)
    if type(given) is asked.kind:
        if asked.nested is None or _elements_fit(given, asked):
            return usual is not None and usual is not asked.kind
        return None
    return True if usual is not None and type(given) is usual else None


def _elements_fit(given: Any, asked: Asked) -> bool:
    """Returns whether all elements have the element type of one of the correct lists."""
    assert asked.nested is not None
    for value in asked.values:
        if not isinstance(value, list):
            return True
        inner = Asked(asked.nested, None, value)
        if all(_is_variable(element, inner) is not None for element in given):
            return True
    return False


def _usual_type(values: Sequence[Any]) -> type | None:
    return next((type(value) for value in values if value != ""), None)


def _same_dict(given: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    for key, value in given.items():
        if key not in wanted or plain(value) not in [plain(one) for one in wanted[key]]:
            return False
    return all(key in given or "" in values for key, values in wanted.items())


def _same_dicts(given: Sequence[Any], wanted: Sequence[Any]) -> bool:
    return len(given) == len(wanted) and all(
        isinstance(one, dict) and isinstance(other, dict) and _same_dict(one, other)
        for one, other in zip(given, wanted, strict=True)
    )


def plain(value: Any) -> Any:
    """Returns a text in lower case, without spaces and optional punctuation of dates and names."""
    return _IGNORED.sub("", value).lower().replace("'", '"') if isinstance(value, str) else value
