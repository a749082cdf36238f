"""`basic::regex_parser_multiple_choice_answer`: checks whether the chosen letter is the expected one."""

from __future__ import annotations

from schemas.api.scoring_function import RegexParserScoringFnParams, ScoringFnParams
from stack.providers.patterns import first_match
from stack.providers.scoring.choice import chosen_letter, letter_of
from stack.providers.scoring.fields import field, text
from stack.providers.scoring.port import Definition, Row, ScoreRow


def multiple_choice(params: ScoringFnParams, row: Row) -> ScoreRow:
    """Returns 1 if the answer chooses the expected letter, ignoring case. Patterns of the caller replace the
    rules of `choice.py`: their match must equal the expected answer, or be the same letter."""
    assert isinstance(params, RegexParserScoringFnParams)
    expected, generated = field(row, "expected_answer"), text(row, "generated_answer")
    letter = letter_of(expected) if isinstance(expected, str) else None
    if params.parsing_regexes:
        found = first_match(params.parsing_regexes, generated)
        same = found == expected or (letter is not None and letter_of(found or "") == letter)
        return {"score": 1.0 if found and same else 0.0}
    return {"score": 1.0 if letter is not None and chosen_letter(generated) == letter else 0.0}


DEFINITIONS = (
    Definition(
        id="basic::regex_parser_multiple_choice_answer",
        description=(
            "1 if the letter that the generated answer chooses is the expected one, in either case, else 0. The last "
            "announcement counts (`Answer: B`, `The answer is (b).`, `\\boxed{B}`, in many languages), without one a "
            "line that is only a letter. `parsing_regexes` replace these rules."
        ),
        params=RegexParserScoringFnParams(parsing_regexes=[], aggregation_functions=["accuracy"]),
        score_row=multiple_choice,
    ),
)
