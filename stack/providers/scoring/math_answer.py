"""`basic::regex_parser_math_response`: compares the meaning of two mathematical answers.

The answer is the match of a pattern, otherwise the last \\boxed{...}, otherwise the whole text. Two answers
are the same if their texts are equal in normal form, or if math-verify finds them equal.
"""

from __future__ import annotations

import re
from typing import Any

from schemas.api.scoring_function import RegexParserScoringFnParams, ScoringFnParams
from stack.providers.patterns import first_match
from stack.providers.scoring.fields import field, kind, text
from stack.providers.scoring.number import number
from stack.providers.scoring.number import same as number_same
from stack.providers.scoring.port import Definition, Row, RowFault, ScoreRow

MAX_CHARACTERS = 200_000
MAX_EXPRESSION = 4_000
"""Maximum length of an answer for math-verify, in characters; longer ones are compared as text."""

_BOX = re.compile(r"\\f?boxed\s*")
_ANNOUNCED = re.compile(r"(?:\banswer\b[^\S\n]*(?:is\b|:|=)[^\S\n]*:?|####)[^\S\n]*(\S[^\n]*)", re.IGNORECASE)
_MARKUP = re.compile(r"\\(?:left|right|displaystyle)\b|\\[,;!: ]|\$")
_TEXT = re.compile(r"\\(?:text|mbox|textbf)\s*\{([^{}]*)\}")
_SPACE = re.compile(r"\s+")
_SPACES_OF_MARKS = re.compile(r"(?<=[^\w]) | (?=[^\w])")
_QUOTED = re.compile(r"\\(?:text|mbox|mathrm|textbf|begin|end)\s*\{[^{}]*\}")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")
_IN_MATHS = re.compile(
    r"\$|\\\(|\\\[|\\begin\s*\{(?:equation|align|alignat|gather|multline|eqnarray|displaymath|math)\*?\}"
)
_BASE = re.compile(r"(?<=\d)_\s*(?:\{\s*(\d+)\s*\}|(\d))")
_CONSTANT = re.compile(
    r"\\(?:mathrm|operatorname|text|mathit|mathbf)\s*\{\s*(e|i|d|\\pi)\s*\}|\{\\rm\s+(e|i|d)\}"
)
_SCIENTIFIC = re.compile(r"(?<![A-Za-z\\\d.])(\d+(?:\.\d+)?)[eE]([+-]?\d+)(?![\d.A-Za-z])")
_TIMES_TEN = re.compile(r"(?<=\d)\s*(?:[\u00d7x*·]|\\cdot)\s*10\s*(?:\^|\*\*)\s*\{?([+-]?\d+)\}?")
_PI = re.compile(r"(?<![A-Za-z\\])pi(?![A-Za-z])")
_ROOT = re.compile(r"(?<![A-Za-z\\])sqrt\s*\(([^()]*)\)")
_SIGNS = str.maketrans({
    "\u2212": "-", "π": r"\pi ", "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "\u222a": r"\cup ", "÷": "/", "·": r"\cdot ",
})  # fmt: skip
# An unpaired dollar is a sign of currency.
_DOLLARS = re.compile(r"(\$\$.*?\$\$|\$(?!\s)[^$\n]*[^\s$]\$(?!\d))|\$", re.DOTALL)


def math_response(params: ScoringFnParams, row: Row) -> ScoreRow:
    assert isinstance(params, RegexParserScoringFnParams)
    generated = answer_in(text(row, "generated_answer", MAX_CHARACTERS), params.parsing_regexes)
    expected = answer_in(_expected(row), params.parsing_regexes)
    return {"score": 1.0 if same(expected, generated) else 0.0}


def _expected(row: Row) -> str:
    value = field(row, "expected_answer")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise RowFault(f"'expected_answer' is {kind(value)}; it must be text or a number.")
    return text(row, "expected_answer", MAX_CHARACTERS)


def answer_in(said: str, patterns: list[str]) -> str:
    """Returns the final answer of a text: the match of a pattern, otherwise the last box, otherwise a number
    announced as the answer, otherwise the whole text."""
    found = first_match(patterns, said)
    if found is None:
        found = last_boxed(said)
    if found is None:
        announced = _ANNOUNCED.findall(said)
        found = announced[-1] if announced and number(announced[-1]) else None
    return (said if found is None else found).strip()


def last_boxed(said: str) -> str | None:
    """Returns the content of the last \\boxed{...}, with balanced braces, or the rest of `\\boxed x$`."""
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


def same(expected: str, generated: str) -> bool:
    """Returns whether two answers mean the same. Numbers are compared exactly, other expressions by
    math-verify, whose result is accepted unless the values of the two contradict it. This may take long: call
    it where it can be terminated."""
    if normal(expected) == normal(generated):
        return True
    numbers = number(expected), number(generated)
    if numbers[0] is not None and numbers[1] is not None:
        return number_same(numbers[0], numbers[1])
    if max(len(expected), len(generated)) > MAX_EXPRESSION or _other_base(expected, generated):
        return False
    return equal(expected, generated)


def normal(answer: str) -> str:
    """Returns an answer as text, without markup that does not affect its meaning. Braces do: \\frac{1}{23} is
    not \\frac{12}{3}."""
    plain = _TEXT.sub(r"\1", answer.replace("dfrac", "frac").replace("tfrac", "frac"))
    plain = _SPACE.sub(" ", _MARKUP.sub("", plain.replace("\\$", ""))).strip()
    return _SPACES_OF_MARKS.sub("", plain).rstrip(".")


def _other_base(expected: str, generated: str) -> bool:
    """Returns whether the answers differ in a base or an index: math-verify parses 12_8 as 12."""
    one, other = (
        [brace or digit for brace, digit in _BASE.findall(answer)] for answer in (expected, generated)
    )
    return bool(one and other) and sorted(one) != sorted(other)


def equal(expected: str, generated: str) -> bool:
    """Returns whether math-verify finds the two equal, and their values do not differ."""
    from math_verify import verify  # type: ignore[import-untyped]

    from stack.providers.scoring.math_values import contradict

    return any(
        verify(gold, target, timeout_seconds=None) and not contradict(gold, target)
        for gold in _parsed(expected)
        for target in _parsed(generated)
    )


def _parsed(answer: str) -> list[Any]:
    """Returns what math-verify finds in an answer. If it contains mathematics, numbers in the surrounding
    text and fragments are not used instead."""
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse

    written = _as_maths(answer)
    if _IN_MATHS.search(written):
        return list(parse(written, [LatexExtractionConfig()], parsing_timeout=None))
    return list(parse(written, [LatexExtractionConfig(), ExprExtractionConfig()], parsing_timeout=None))


def _as_maths(answer: str) -> str:
    """Returns the answer as LaTeX for math-verify. Prose is passed unchanged: as LaTeX, words would be
    products of their letters, and `listen` would equal `silent`."""
    plain = _CONSTANT.sub(lambda found: found[1] or found[2], answer.replace("\\$", ""))
    plain = _PI.sub(r"\\pi ", _DOLLARS.sub(lambda found: found[1] or "", plain.translate(_SIGNS)))
    plain = _ROOT.sub(r"\\sqrt{\1}", plain)
    plain = _TIMES_TEN.sub(r"\\times 10^{\1}", plain)
    prose = not _IN_MATHS.search(plain) and _WORD.search(_QUOTED.sub("", plain))
    if prose:
        return _SCIENTIFIC.sub(r"$\1\\times 10^{\2}$", plain)
    plain = _SCIENTIFIC.sub(r"\1\\times 10^{\2}", plain)
    return plain if _IN_MATHS.search(plain) else f"${plain}$"


DEFINITIONS = (
    Definition(
        id="basic::regex_parser_math_response",
        description="1 if the generated answer means the same as the expected one in mathematics, else 0.",
        params=RegexParserScoringFnParams(parsing_regexes=[], aggregation_functions=["accuracy"]),
        place="worker",
        libraries=("math_verify",),
        score_row=math_response,
    ),
)
