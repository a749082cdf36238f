"""`basic::regex_parser_multiple_choice_answer`: finds the letter that was chosen, in many languages."""

from __future__ import annotations

from schemas.api.scoring_function import RegexParserScoringFnParams, ScoringFnParams
from stack.providers.scoring.fields import field, text
from stack.providers.scoring.patterns import first_match
from stack.providers.scoring.port import Definition, Row, ScoreRow

# What answers are announced with. `_` stands for any space, also of the wide and the invisible kinds.
_ANNOUNCEMENTS = (
    "The best answer is ",
    "Answer_:",
    "উত্তর_:", "उत्तर_:", "উত্তরঃ",
    "Antwort_:",
    "답변_:", "정답_:", "답_:",
    "答案_\uff1a", "答案_:", "答_\uff1a", "答_:", "答复_\uff1a", "答曰_\uff1a",
    "الإجابة:", "الجواب:", "إجابة:", "الإجابة النهائية:", "الإجابة الصحيحة:", "الإجابة الصحيحة هي:", "الإجابة هي:",
    "Respuesta_:", "Risposta_:",
    "答え_:", "答え_\uff1a", "回答_:", "回答_\uff1a", "解答_:",
    "Jawaban_:", "Réponse_:", "Resposta_:", "Jibu_:",
    "Idahun_:", "Ìdáhùn_:", "Idáhùn_:", "Àmọ̀nà_:", "Àdáhùn_:", "Ànúgọ_:", "Àṣàyàn_:",
)  # fmt: skip
_SPACE = r"[\s\p{Z}\x{200B}]*"
_LETTER = "([A-J]|[أ-د]|[অ]|[ব]|[ড]|[ঢ]|[Ａ]|[Ｂ]|[Ｃ]|[Ｄ])"  # noqa: RUF001

PATTERNS = [f"(?i){said.replace('_', _SPACE)}{_SPACE}{_LETTER}" for said in _ANNOUNCEMENTS]


def multiple_choice(params: ScoringFnParams, row: Row) -> ScoreRow:
    """1 where what the patterns find in the generated answer is exactly the expected one."""
    assert isinstance(params, RegexParserScoringFnParams)
    expected, generated = field(row, "expected_answer"), text(row, "generated_answer")
    found = first_match(params.parsing_regexes, generated)
    return {"score": 1.0 if found and found == expected else 0.0}


DEFINITIONS = (
    Definition(
        id="basic::regex_parser_multiple_choice_answer",
        description="1 if the letter that the generated answer chooses is the expected one, else 0.",
        params=RegexParserScoringFnParams(parsing_regexes=PATTERNS, aggregation_functions=["accuracy"]),
        score_row=multiple_choice,
    ),
)
