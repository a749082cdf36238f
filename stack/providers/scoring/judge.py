"""`llm-as-judge::base` and `llm-as-judge::405b-simpleqa`: the judge's prompt, and the parsing of its
answer."""

from __future__ import annotations

import logging
import re

import msgspec

from schemas.api.scoring_function import LLMAsJudgeScoringFnParams, ScoringFnParams
from stack.domain.near import nearest
from stack.errors import Invalid
from stack.providers import patterns
from stack.providers.scoring.fields import field, text
from stack.providers.scoring.port import FEEDBACK, Definition, Row, RowFault, ScoreRow

PLACEHOLDERS = ("input_query", "expected_answer", "generated_answer")
MAX_CHARACTERS = 200_000
"""Maximum length of each text that is inserted into a prompt, in characters."""
MAX_TEMPLATE = 100_000

BASE_TEMPLATE = """\
Judge an answer to a question. Compare it with the reference answer; its wording and length do not matter, only \
whether it says the same and nothing that is wrong.

[Question]
{input_query}

[Reference answer]
{expected_answer}

[Answer to judge]
{generated_answer}

Say in one or two sentences what is right and what is wrong. Then give a grade from 0 (all wrong) to 10 (all right) \
on a last line of its own, in exactly this form:
Score: <grade>"""

SIMPLEQA_TEMPLATE = """\
You grade short factual answers. You are given a question, the correct answer and an answer to grade. Choose one grade:

A: CORRECT. The answer holds everything of the correct answer that the question asks for, and contradicts none of it. \
Case, punctuation, order and small misspellings of names do not matter. A hedge ("I think", "probably") is fine as \
long as what is said is right and complete.
B: INCORRECT. Something in the answer contradicts the correct answer, also when it is hedged or offered as one of \
several possibilities.
C: NOT_ATTEMPTED. The answer leaves out what was asked and contradicts nothing: it declines, asks back or stays vague.

Rules for particular cases:
- A number is right if it agrees with the correct one to the last digit that the correct one gives. For "25k", "25,200" \
is right and "24k" is wrong; "more than 10k" neither confirms nor contradicts it: C.
- The correct answer may say more than was asked. Only what was asked counts.
- What the question makes obvious may be missing: a unit that it names, a country, the family name of a person.

Examples, for the question "Which two planets of the solar system have no moons?" and the correct answer "Mercury and \
Venus":
- "venus and mercury, if I remember well": A
- "Only Mercury has none." and "Mercury, Venus and Mars": B
- "That depends on what counts as a moon." and "Mercury is one of them, the other I do not know.": C

Now grade this one. Reply with nothing but one letter.

Question: {input_query}
Correct answer: {expected_answer}
Answer to grade: {generated_answer}

Grade (A, B or C):"""

# A range that is repeated from the prompt, as in "Score (0-10): 7", is skipped.
_RANGE = r"(?:\s*[(\[]\d+\s*(?:-|\x{2013}|to|\.\.)\s*\d+[)\]])?"
_GRADE = rf"(?:score|grade|rating){_RANGE}(?:\s+(?:is|of|would be))?(?:\W|\\(?:boxed|text|textbf|mathbf)\b){{0,24}}?"
_NUMBER_SAID = r"(-?\d+(?:\.\d+)?)"
# A line that announces the grade, otherwise the last mention of one; if there are several, the last is used.
BASE_PATTERNS = [
    rf"(?im)^\W*(?:(?:the|my|final|overall|total)\s+)*{_GRADE}{_NUMBER_SAID}",
    rf"(?i){_GRADE}{_NUMBER_SAID}",
]
# A letter on a line of its own, or with the name of its grade. An A within a sentence is not a grade.
SIMPLEQA_PATTERNS = [
    r"(?m)^\W*(?:(?i:(?:(?:the|my|final)\s+)*(?:grade|answer|verdict|score)\b"
    r"(?:\s*\(A\W+B\W+(?:or\W+)?C\))?(?:\s+is\b)?)(?:\W|\\(?:boxed|text)\b)*)?"
    r"(?:\\(?:boxed|text)\W*)*(A|B|C)\b(?:\W+(?:CORRECT|INCORRECT|NOT[_ ]ATTEMPTED))?\W*$",
]

_log = logging.getLogger("replaystack.scoring")

_TOKEN = re.compile(r"\{\{|\}\}|\{(" + "|".join(PLACEHOLDERS) + r")\}")
_NAMED = re.compile(r"\{([A-Za-z_]\w*)\}")
_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,15})?")


def check(params: LLMAsJudgeScoringFnParams, where: str) -> None:
    """Raises Invalid for parameters that cannot be used for a judge; `where` names their container. Logs a
    warning for a prompt that does not include the answer."""
    if not params.judge_model.strip():
        raise Invalid(
            f"{where}: judge_model is empty. Name the model that judges; GET /v1/models lists them."
        )
    patterns.check(params.judge_score_regexes, f"{where}: judge_score_regexes")
    template = params.prompt_template
    if template is None:
        return
    if len(template) > MAX_TEMPLATE:
        raise Invalid(
            f"{where}: prompt_template has {len(template):,} characters; at most {MAX_TEMPLATE:,} fit."
        )
    for name in _NAMED.findall(_TOKEN.sub(" ", template)):
        near = nearest(name, PLACEHOLDERS)
        hint = f" Nearest: {{{near}}}." if near else " Write {{...}} for text in braces."
        raise Invalid(f"{where}: prompt_template has {{{name[:80]}}}, which is not a field of a row.{hint}")
    if "generated_answer" not in _TOKEN.findall(template):
        _log.warning(
            "%s: prompt_template has no {generated_answer}, so the judge does not see the answer.", where
        )


def prompt(template: str, row: Row) -> str:
    """Returns the template with the row's texts inserted unchanged. Raises RowFault.

    If all its other braces are doubled, as for `str.format`, they become single ones.
    """
    rest = _TOKEN.sub("", template)
    doubled = "{" not in rest and "}" not in rest

    def put(token: re.Match[str]) -> str:
        if token.group(1):
            return _shown(row, token.group(1))
        return token.group()[0] if doubled else token.group()

    return _TOKEN.sub(put, template)


def _shown(row: Row, name: str) -> str:
    value = field(row, name)
    shown = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if len(shown) > MAX_CHARACTERS:
        raise RowFault(
            f"{name!r} has {len(shown):,} characters; a judge is shown at most {MAX_CHARACTERS:,}."
        )
    return shown


def grade(params: ScoringFnParams, row: Row) -> ScoreRow:
    """Returns the score row for a judge's text: the last grade that the patterns find, as a number if it is
    one."""
    assert isinstance(params, LLMAsJudgeScoringFnParams)
    found = patterns.last_match(params.judge_score_regexes, text(row, FEEDBACK))
    if not found:
        raise RowFault("The judge gave no grade that the patterns find.")
    return {"score": _number(found)}


def _number(found: str) -> int | float | str:
    if not _NUMBER.fullmatch(found):
        return found
    return float(found) if "." in found else int(found)


DEFINITIONS = (
    Definition(
        id="llm-as-judge::base",
        description=(
            "The grade that a model gives the generated answer. Name it as `judge_model`; a `prompt_template` and "
            "`judge_score_regexes` of your own replace those here. Reads `input_query` and `expected_answer` where "
            "the prompt has them."
        ),
        params=LLMAsJudgeScoringFnParams(
            judge_model="",
            prompt_template=BASE_TEMPLATE,
            judge_score_regexes=BASE_PATTERNS,
            aggregation_functions=["average"],
        ),
        place="judge",
        score_row=grade,
    ),
    Definition(
        id="llm-as-judge::405b-simpleqa",
        description=(
            "The grade that a model gives a short factual answer: A (correct), B (incorrect) or C (not attempted). "
            "Name the model as `judge_model`."
        ),
        params=LLMAsJudgeScoringFnParams(
            judge_model="",
            prompt_template=SIMPLEQA_TEMPLATE,
            judge_score_regexes=SIMPLEQA_PATTERNS,
            aggregation_functions=["categorical_count"],
        ),
        place="judge",
        score_row=grade,
    ),
)
