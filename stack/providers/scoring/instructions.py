"""The instructions of IFEval, which can be checked by the answer's text alone.

Each function is given the answer, which is not empty, and the arguments of its instruction. The names are
those of the data set.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from stack.providers.scoring import language
from stack.providers.scoring.fields import kind
from stack.providers.scoring.port import RowFault

ANSWERS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
QUOTES = {"ja": "「」", "ru": "«»", "th": "“”", "zh": "“”", "zh-cn": "“”", "zh-tw": "“”"}

_PLACEHOLDER = re.compile(r"\[[^\[\]\n]*\]")
_HIGHLIGHT = re.compile(r"\*([^\n*]*)\*")
_DOUBLE_HIGHLIGHT = re.compile(r"\*\*([^\n*]*)\*\*")
_DIVIDER = re.compile(r"\s?\*\*\*\s?")
_FENCE = re.compile(r"^```(?:json)?|```$", re.IGNORECASE)
_POSTSCRIPTS = {"P.P.S": re.compile(r"p\.\s?p\.\s?s"), "P.S.": re.compile(r"p\.\s?s\.")}


class Arguments:
    """The arguments of one instruction. Reading one that is missing or has the wrong type raises RowFault."""

    def __init__(self, instruction: str, given: Mapping[str, Any]) -> None:
        self._instruction = instruction
        self._given = given

    def _read(self, name: str, kinds: type | tuple[type, ...], wanted: str) -> Any:
        value = self._given.get(name)
        if not isinstance(value, kinds) or isinstance(value, bool):
            found = "missing" if value is None else kind(value)
            raise RowFault(f"{self._instruction} needs {name!r}, {wanted}; in 'kwargs' it is {found}.")
        return value

    def text(self, name: str) -> str:
        return str(self._read(name, str, "a text"))

    def number(self, name: str) -> float:
        return float(self._read(name, (int, float), "a number"))

    def texts(self, name: str) -> list[str]:
        values = self._read(name, list, "a list of texts")
        if not values or not all(isinstance(value, str) for value in values):
            raise RowFault(f"{self._instruction} needs {name!r}, a list of at least one text.")
        return list(values)

    def holds(self, count: int, frequency: str, relation: str) -> bool:
        """Returns whether a count is `less than` or `at least` the requested frequency."""
        wanted, asked = self.number(frequency), self.text(relation)
        if asked not in ("less than", "at least"):
            raise RowFault(
                f"{self._instruction}: {relation!r} is {asked[:40]!r}; it is 'less than' or 'at least'."
            )
        return count < wanted if asked == "less than" else count >= wanted


Check = Callable[[str, Arguments], bool]


def keywords(answer: str, given: Arguments) -> bool:
    said = answer.lower()
    return all(word.strip().lower() in said for word in given.texts("keywords"))


def keyword_frequency(answer: str, given: Arguments) -> bool:
    word = given.text("keyword").strip().lower()
    if not word:
        raise RowFault("keywords:frequency: 'keyword' is empty.")
    return given.holds(answer.lower().count(word), "frequency", "relation")


def forbidden_words(answer: str, given: Arguments) -> bool:
    words = given.texts("forbidden_words")
    return not any(re.search(rf"\b{re.escape(word)}\b", answer, re.IGNORECASE) for word in words)


def letter_frequency(answer: str, given: Arguments) -> bool:
    letter = given.text("letter").strip().lower()
    if len(letter) != 1:
        raise RowFault(f"keywords:letter_frequency: 'letter' is {letter[:40]!r}; it must be one character.")
    return given.holds(answer.lower().count(letter), "let_frequency", "let_relation")


def response_language(answer: str, given: Arguments) -> bool:
    """An answer whose language cannot be detected (only digits, for example) is accepted."""
    asked, found = given.text("language").lower(), language.detect(answer)
    return found in ("", asked) or found.partition("-")[0] == asked


def number_sentences(answer: str, given: Arguments) -> bool:
    return given.holds(language.count_sentences(answer), "num_sentences", "relation")


def number_words(answer: str, given: Arguments) -> bool:
    return given.holds(language.count_words(answer), "num_words", "relation")


def number_paragraphs(answer: str, given: Arguments) -> bool:
    """Paragraphs are separated by `***`; only the first and the last may be empty."""
    parts = [part.strip() for part in _DIVIDER.split(answer)]
    inner = parts[1:-1]
    filled = sum(bool(part) for part in parts)
    return all(inner) and filled == given.number("num_paragraphs")


def nth_paragraph_first_word(answer: str, given: Arguments) -> bool:
    """Paragraphs are separated by empty lines; the nth must start with the word."""
    parts = [part.strip() for part in answer.split("\n\n")]
    filled = sum(bool(part) for part in parts)
    nth = int(given.number("nth_paragraph"))
    wanted = given.text("first_word").lower()
    if not 1 <= nth <= filled or filled != given.number("num_paragraphs") or not parts[nth - 1]:
        return False
    first = parts[nth - 1].split()[0].lower().lstrip("'").lstrip('"')
    return re.split(r"[.,?!'\"]", first, maxsplit=1)[0] == wanted


def number_placeholders(answer: str, given: Arguments) -> bool:
    return len(_PLACEHOLDER.findall(answer)) >= given.number("num_placeholders")


def postscript(answer: str, given: Arguments) -> bool:
    marker, said = given.text("postscript_marker").strip(), answer.lower()
    known = _POSTSCRIPTS.get(marker)
    return bool(known.search(said)) if known else marker.lower() in said


def number_bullet_lists(answer: str, given: Arguments) -> bool:
    lines = [line.lstrip() for line in answer.splitlines()]
    stars = sum(line.startswith("*") and len(line) > 1 and line[1] != "*" for line in lines)
    return stars + sum(line.startswith("-") for line in lines) == given.number("num_bullets")


def constrained_response(answer: str, given: Arguments) -> bool:
    return any(option in answer for option in ANSWERS)


def number_highlighted_sections(answer: str, given: Arguments) -> bool:
    found = [*_HIGHLIGHT.findall(answer), *_DOUBLE_HIGHLIGHT.findall(answer)]
    return sum(bool(part.strip()) for part in found) >= given.number("num_highlights")


def multiple_sections(answer: str, given: Arguments) -> bool:
    heading = re.escape(given.text("section_spliter").strip())
    return len(re.findall(rf"{heading}\s?\d+", answer)) >= given.number("num_sections")


def json_format(answer: str, given: Arguments) -> bool:
    """The whole answer must be JSON, optionally in a code fence."""
    try:
        json.loads(_FENCE.sub("", answer.strip()).strip())
    except (ValueError, RecursionError):
        return False
    return True


def title(answer: str, given: Arguments) -> bool:
    """A line must contain text between `<<` and `>>`."""
    for line in answer.split("\n"):
        begin, end = line.find("<<"), line.rfind(">>")
        if 0 <= begin < end and line[begin:end].strip("<> \t"):
            return True
    return False


def two_responses(answer: str, given: Arguments) -> bool:
    parts = [part.strip() for part in answer.split("******")]
    filled = [part for part in parts if part]
    return all(parts[1:-1]) and len(filled) == 2 and filled[0] != filled[1]


def repeat_prompt(answer: str, given: Arguments) -> bool:
    return answer.strip().lower().startswith(given.text("prompt_to_repeat").strip().lower())


def end_checker(answer: str, given: Arguments) -> bool:
    return answer.strip().strip('"').lower().endswith(given.text("end_phrase").strip().lower())


def quotation(answer: str, given: Arguments) -> bool:
    said = answer.strip()
    if len(said) < 2:
        return False
    quotes = QUOTES.get(language.language_of_lines(said), '""')
    return said[0] in (quotes[0], '"') and said[-1] in (quotes[1], '"')


def capital_word_frequency(answer: str, given: Arguments) -> bool:
    return given.holds(language.capital_words(answer), "capital_frequency", "capital_relation")


def english_capital(answer: str, given: Arguments) -> bool:
    return answer.isupper() and language.detect(answer) in ("en", "")


def english_lowercase(answer: str, given: Arguments) -> bool:
    return answer.islower() and language.detect(answer) in ("en", "")


def no_comma(answer: str, given: Arguments) -> bool:
    return "," not in answer


CHECKS: dict[str, Check] = {
    "keywords:existence": keywords,
    "keywords:frequency": keyword_frequency,
    "keywords:forbidden_words": forbidden_words,
    "keywords:letter_frequency": letter_frequency,
    "language:response_language": response_language,
    "length_constraints:number_sentences": number_sentences,
    "length_constraints:number_paragraphs": number_paragraphs,
    "length_constraints:number_words": number_words,
    "length_constraints:nth_paragraph_first_word": nth_paragraph_first_word,
    "detectable_content:number_placeholders": number_placeholders,
    "detectable_content:postscript": postscript,
    "detectable_format:number_bullet_lists": number_bullet_lists,
    "detectable_format:constrained_response": constrained_response,
    "detectable_format:number_highlighted_sections": number_highlighted_sections,
    "detectable_format:multiple_sections": multiple_sections,
    "detectable_format:json_format": json_format,
    "detectable_format:title": title,
    "combination:two_responses": two_responses,
    "combination:repeat_prompt": repeat_prompt,
    "startend:end_checker": end_checker,
    "startend:quotation": quotation,
    "change_case:capital_word_frequency": capital_word_frequency,
    "change_case:english_capital": english_capital,
    "change_case:english_lowercase": english_lowercase,
    "punctuation:no_comma": no_comma,
}
