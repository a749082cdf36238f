"""`basic::bfcl`: checks whether the generated answer calls the right functions with the right arguments."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from schemas.api.scoring_function import BasicScoringFnParams, ScoringFnParams
from stack.providers.scoring.bfcl_check import TYPES, wrong_calls
from stack.providers.scoring.bfcl_python import Call, NoCall, python_calls
from stack.providers.scoring.bfcl_source import GRAMMARS, source_calls
from stack.providers.scoring.fields import field, kind, text
from stack.providers.scoring.port import Definition, Row, RowFault, ScoreRow

MAX_CHARACTERS = 200_000

_NUMBER_OF_ROW = re.compile(r"_[0-9_-]+$")
_RELEVANCE = frozenset(("irrelevance", "live_relevance", "live_irrelevance"))


def bfcl(params: ScoringFnParams, row: Row) -> ScoreRow:
    """Returns 1 for the right calls; for a row about relevance, 1 if a function is called, or if none is.
    `reason` names the error."""
    category = _NUMBER_OF_ROW.sub("", text(row, "id"))
    language = text(row, "language") if "language" in row else "Python"
    if language not in TYPES:
        raise RowFault(f"'language' is {language[:40]!r}; it must be one of {', '.join(TYPES)}.")
    written = text(row, "generated_answer", MAX_CHARACTERS)
    try:
        calls, problem = _calls(written, language), ""
    except NoCall as none:
        calls, problem = [], f"No calls can be read: {none}."
    if category in _RELEVANCE:
        return _scored(bool(calls) is not ("irrelevance" in category), problem or "A function is called.")
    if not calls:
        return _scored(False, problem or "No function is called.")
    functions, expected = _list(row, "function"), _list(row, "ground_truth")
    if not functions:
        raise RowFault("'function' describes no function.")
    problem = wrong_calls(functions, calls, expected, category, language)
    return _scored(not problem, problem)


def _calls(written: str, language: str) -> list[Call]:
    return python_calls(written) if language == "Python" else source_calls(written, language)


def _scored(right: bool, problem: str) -> ScoreRow:
    return {"score": 1.0} if right else {"score": 0.0, "reason": problem}


def _list(row: Row, name: str) -> list[dict[str, Any]]:
    """Returns a field that is a list of objects, or its JSON text; a single object becomes a list of one."""
    value = field(row, name)
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except msgspec.DecodeError as error:
            raise RowFault(f"{name!r} is not JSON: {error}.") from None
    value = [value] if isinstance(value, dict) else value
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise RowFault(f"{name!r} is {kind(value)}; it must be a list of objects, or the JSON text of one.")
    return value


DEFINITIONS = (
    Definition(
        id="basic::bfcl",
        description=(
            "1 if the generated answer calls the right functions with the right arguments, else 0. Reads `id`, "
            "`language`, `function` and `ground_truth`, as the Berkeley Function Calling Leaderboard has them."
        ),
        params=BasicScoringFnParams(aggregation_functions=["accuracy"]),
        place="worker",
        score_row=bfcl,
        libraries=("tree_sitter", *GRAMMARS.values()),
    ),
)
