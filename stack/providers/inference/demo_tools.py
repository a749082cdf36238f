"""Chooses the tool that the demo model calls, and its arguments, by the words of its name and description."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from stack.errors import Invalid
from stack.providers.inference.demo_retrieval import terms
from stack.providers.inference.demo_schema import EXPRESSION, EXPRESSION_WORDS, Filler

NAME_WEIGHT = 2.0
CALL_SCORE = 3.0
"""Minimum score of a call that was not requested explicitly: one word of the tool's name and another of its
description, or all words of its name, or a calculation for a tool that accepts one; the required arguments
must be in the text."""


class _Function(Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Tool(Struct):
    function: _Function


class Call(Struct, frozen=True):
    name: str
    arguments: str


_decode = msgspec.json.Decoder(_Tool).decode


def choose_call(tools: list[Raw], choice: str | None, question: str) -> Call | None:
    """Returns the call that `question` asks for, or None. `choice` is auto, required, none or a tool's
    name."""
    if not tools or choice == "none":
        return None
    try:
        functions = [_decode(tool).function for tool in tools]
    except msgspec.DecodeError as error:
        raise Invalid(f"tools: {error}") from None
    forced = choice is not None and choice != "auto"
    if forced and choice != "required":
        functions = [function for function in functions if function.name == choice]
        if not functions:
            raise Invalid(f"tool_choice: there is no tool {choice!r} among the tools of this request.")
    asked = set(terms(question))
    calculates = EXPRESSION.search(question[:20_000]) is not None
    scores = [_score(function, asked, calculates) for function in functions]
    if not forced and max(scores) < CALL_SCORE:
        return None
    function = functions[scores.index(max(scores))]
    schema = function.parameters or {}
    filler = Filler(schema, question[:20_000], "")
    required = schema.get("required") or ()
    arguments: dict[str, Any] = {}
    for name, sub in (schema.get("properties") or {}).items():
        value, found = filler.found(sub, name)
        if name in required and not found and not forced:
            return None
        if found or name in required:
            arguments[name] = value
    return Call(function.name, msgspec.json.encode(arguments).decode())


def _score(function: _Function, asked: set[str], calculates: bool) -> float:
    properties: dict[str, Any] = (function.parameters or {}).get("properties") or {}
    if calculates and any(word in name.lower() for name in properties for word in EXPRESSION_WORDS):
        return CALL_SCORE
    texts = [function.description or "", *(name.replace("_", " ") for name in properties)]
    for schema in properties.values():
        if isinstance(schema, dict):
            texts += [str(schema.get("description") or ""), *map(str, schema.get("enum") or ())]
    named = set(terms(function.name.replace("_", " ")))
    described = {term for text in texts for term in terms(text)}
    score = NAME_WEIGHT * len(asked & named) + len(asked & (described - named))
    return max(score, CALL_SCORE) if named and named <= asked else score
