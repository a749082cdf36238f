"""`basic::regex_parser_math_response`: whether two mathematical answers mean the same.

The answer is taken from where a pattern finds it, else from the last \\boxed{...}, else from the whole text. Two
answers are the same if their texts are, in a normal form, or if math-verify finds them equal.
"""

from __future__ import annotations

import re

from schemas.api.scoring_function import RegexParserScoringFnParams, ScoringFnParams
from stack.providers.scoring.fields import field, kind, text
from stack.providers.scoring.patterns import first_match
from stack.providers.scoring.port import Definition, Row, RowFault, ScoreRow

PATTERNS = [r".*final answer is:?\s*\$\\boxed{(?P<X>.*)}\$"]
MAX_CHARACTERS = 200_000
MAX_EXPRESSION = 4_000
"""Characters of an answer that is given to math-verify; a longer one is compared as text."""

_BOX = re.compile(r"\\f?boxed\s*")
_MARKUP = re.compile(r"\\(?:left|right|displaystyle|[,;!: ])|\\(?:text|mbox|mathrm|textbf)\s*(?=\{)|[${}\s]")
_GROUPED = re.compile(r"(?<=\d),(?=\d{3}(?:\D|$))")
_QUOTED = re.compile(r"\\(?:text|mbox|mathrm|textbf)\s*\{[^{}]*\}")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")
_IN_MATHS = re.compile(r"\$|\\\(|\\\[|\\begin")


def math_response(params: ScoringFnParams, row: Row) -> ScoreRow:
    assert isinstance(params, RegexParserScoringFnParams)
    generated = answer_in(text(row, "generated_answer", MAX_CHARACTERS), params.parsing_regexes)
    expected = answer_in(_expected(row), params.parsing_regexes)
    same = normal(generated) == normal(expected) or equal(expected, generated)
    return {"score": 1.0 if same else 0.0}


def _expected(row: Row) -> str:
    value = field(row, "expected_answer")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise RowFault(f"'expected_answer' is {kind(value)}; it must be text or a number.")
    return text(row, "expected_answer", MAX_CHARACTERS)


def answer_in(said: str, patterns: list[str]) -> str:
    """The answer that a text ends in."""
    found = first_match(patterns, said)
    if found is None:
        found = last_boxed(said)
    return (said if found is None else found).strip()


def last_boxed(said: str) -> str | None:
    """What the last \\boxed{...} holds, with its braces balanced, or the rest of `\\boxed x$`."""
    boxes = list(_BOX.finditer(said))
    if not boxes:
        return None
    rest = said[boxes[-1].end() :]
    if not rest.startswith("{"):
        return rest.partition("$")[0]
    depth = 0
    for position, character in enumerate(rest):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return rest[1:position]
    return None


def normal(answer: str) -> str:
    """An answer as text, without markup that changes no meaning."""
    plain = _MARKUP.sub("", answer.replace("dfrac", "frac").replace("tfrac", "frac"))
    return _GROUPED.sub("", plain).rstrip(".")


def equal(expected: str, generated: str) -> bool:
    """Whether math-verify can tell that the two are equal. It may take for ever: call it where that can be ended."""
    if max(len(expected), len(generated)) > MAX_EXPRESSION:
        return False
    from math_verify import parse, verify  # type: ignore[import-untyped]

    gold, target = (parse(_as_maths(one), parsing_timeout=None) for one in (expected, generated))
    return bool(gold and target and verify(gold, target, timeout_seconds=None))


def _as_maths(answer: str) -> str:
    """Prose is left for math-verify to find an expression in: as LaTeX, words are products of their letters, and
    `listen` equals `silent`."""
    if _IN_MATHS.search(answer) or _WORD.search(_QUOTED.sub("", answer)):
        return answer
    return f"${answer}$"


DEFINITIONS = (
    Definition(
        id="basic::regex_parser_math_response",
        description="1 if the generated answer means the same as the expected one in mathematics, else 0.",
        params=RegexParserScoringFnParams(parsing_regexes=PATTERNS, aggregation_functions=["accuracy"]),
        place="worker",
        libraries=("math_verify",),
        score_row=math_response,
    ),
)
