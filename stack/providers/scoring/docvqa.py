"""`basic::docvqa`: short answers to questions about documents, compared in a normal form.

`score` is 1 if the generated answer equals one of the expected ones in normal form. `anls` is the measure of
the DocVQA benchmark: 1 minus the edit distance divided by the greater length, 0 if the result is less than
0.5.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from schemas.api.scoring_function import BasicScoringFnParams, ScoringFnParams
from stack.providers.scoring.fields import field, kind, text
from stack.providers.scoring.port import Definition, Row, RowFault, ScoreRow

MAX_CHARACTERS = 20_000
"""Maximum length of an answer. An edit distance takes time proportional to the product of both lengths: 5 ms
here."""
MAX_ANSWERS = 256

_NUMBER_WORDS = "zero one two three four five six seven eight nine ten"
NUMBERS = {word: str(number) for number, word in enumerate(_NUMBER_WORDS.split())} | {"none": "0"}
ORDINALS = {"1st": "first", "2nd": "second", "3rd": "third"}
SMALL_WORDS = frozenset(("a", "an", "the", "to", "in", "from", "by"))
# Words whose apostrophe is often omitted. Those that would become other words (its, were, well) are not
# included.
_CONTRACTIONS = (
    "ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't "
    "he'd've how'd how'll how's i'd've i'm i've isn't it'd it'd've it'll ma'am mightn't mightn't've might've "
    "mustn't must've needn't not've o'clock oughtn't shan't she'd've should've shouldn't shouldn't've "
    "somebody'd've somebody'll someone'd someone'd've someone'll something'd something'd've something'll "
    "that's there'd there'd've there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've "
    "we've weren't what'll what're what's what've when's where'd where's where've who'd who'd've who'll who's "
    "who've why'll why're why's won't would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've "
    "you'll you're you've"
)
CONTRACTIONS = {word.replace("'", ""): word for word in _CONTRACTIONS.split()}
_DIGITS_WITH_COMMA = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")
_MARKS = ';/[]"{}()=+\\_->@<`,?!'


def docvqa(params: ScoringFnParams, row: Row) -> ScoreRow:
    generated = text(row, "generated_answer", MAX_CHARACTERS)
    answers = expected_answers(row)
    normal = normalized(generated)
    score = 1.0 if any(normalized(answer) == normal for answer in answers) else 0.0
    return {"score": score, "anls": anls(generated, answers)}


def expected_answers(row: Row) -> list[str]:
    """Returns the accepted answers: `expected_answer` is a list of texts, the JSON text of a list, or one
    plain text."""
    given = field(row, "expected_answer")
    if isinstance(given, str):
        try:
            parsed = json.loads(given) if given.lstrip().startswith("[") else None
        except (ValueError, RecursionError):
            parsed = None
        given = parsed if isinstance(parsed, list) else [given]
    if not isinstance(given, list):
        raise RowFault(f"'expected_answer' is {kind(given)}; it must be text or a list of texts.")
    if len(given) > MAX_ANSWERS:
        raise RowFault(
            f"'expected_answer' lists {len(given):,} answers; at most {MAX_ANSWERS} can be compared."
        )
    return [text({"expected_answer": one}, "expected_answer", MAX_CHARACTERS) for one in given]


def anls(generated: str, answers: Sequence[str]) -> float:
    """Returns the best normalised Levenshtein similarity over the answers; 0 if it is less than one half."""
    from rapidfuzz.distance import Levenshtein

    said = " ".join(generated.lower().split())
    return max(
        (
            Levenshtein.normalized_similarity(said, " ".join(answer.lower().split()), score_cutoff=0.5)
            for answer in answers
        ),
        default=0.0,
    )


def normalized(answer: str) -> str:
    """Returns an answer without irrelevant differences: case, punctuation, articles, number words."""
    for mark in _MARKS:
        if mark in answer:
            next_to_space = mark + " " in answer or " " + mark in answer
            joined = next_to_space or _DIGITS_WITH_COMMA.search(answer) is not None
            answer = answer.replace(mark, "" if joined else " ")
    words = _PERIOD.sub("", answer).lower().split()
    plain = [NUMBERS.get(word, ORDINALS.get(word, word)) for word in words]
    return " ".join(CONTRACTIONS.get(word, word) for word in plain if word not in SMALL_WORDS)


DEFINITIONS = (
    Definition(
        id="basic::docvqa",
        description=(
            "1 if the generated answer is one of the expected ones in a normal form (case, punctuation, articles, "
            "number words), else 0; and `anls`, the similarity by edit distance."
        ),
        params=BasicScoringFnParams(aggregation_functions=["accuracy"]),
        place="worker",
        libraries=("rapidfuzz.distance",),
        score_row=docvqa,
    ),
)
