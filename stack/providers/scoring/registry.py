"""All scoring functions, by name."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from importlib.util import find_spec

from schemas.api.scoring_function import (
    LLMAsJudgeScoringFnParams,
    RegexParserScoringFnParams,
    ScoringFnParams,
)
from stack.domain.near import nearest
from stack.errors import Invalid
from stack.providers.scoring.port import Definition


@functools.cache
def definitions() -> Mapping[str, Definition]:
    """Returns all functions by name. The first call imports them: a server starts without their patterns,
    which take 50 ms to compile."""
    from stack.providers.scoring import bfcl, docvqa, ifeval, judge, match, math_answer, multiple_choice

    modules = (match, multiple_choice, math_answer, docvqa, ifeval, bfcl, judge)
    return {one.id: one for module in modules for one in module.DEFINITIONS}


def has_own_patterns(function: Definition, params: ScoringFnParams) -> bool:
    """Returns whether the patterns are the function's own, which are fast. Those of a caller may take long
    for a long text: they are matched in the worker."""
    return _patterns(params) == _patterns(function.params)


def _patterns(params: ScoringFnParams) -> Sequence[str]:
    match params:
        case RegexParserScoringFnParams(parsing_regexes=given):
            return given
        case LLMAsJudgeScoringFnParams(judge_score_regexes=given):
            return given
    return ()


@functools.cache
def unavailable(function_id: str) -> str:
    """Returns why the function cannot be used on this server, with the remedy; empty if it can."""
    libraries = {library.partition(".")[0] for library in definitions()[function_id].libraries}
    missing = sorted(library for library in libraries if find_spec(library) is None)
    if not missing:
        return ""
    return (
        f"The scoring function {function_id!r} needs {', '.join(missing)}, which is not installed. Install it with its "
        "extra: pip install 'replaystack[scoring]'."
    )


def definition(name: str) -> Definition:
    """Returns the function with this name. Raises Invalid, with the most similar name and all known ones."""
    found = definitions().get(name)
    if found is None:
        near = nearest(name, definitions())
        hint = f" Nearest: {near!r}." if near else ""
        raise Invalid(
            f"There is no scoring function {name[:100]!r}.{hint} Known: {', '.join(definitions())}."
        )
    return found


def usable(name: str) -> Definition:
    """Returns the function with this name. Raises Invalid if it is unknown, or its libraries are not
    installed."""
    found = definition(name)
    if problem := unavailable(name):
        raise Invalid(problem)
    return found
