"""Detects the language of a text, and counts its sentences and words, for instructions about length."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

from stack.providers.scoring.port import RowFault

MAX_LINES = 200
"""Maximum number of lines that are read to detect the language of a text; each takes one or two
milliseconds."""
SHORTEST_LINE = 4
MAX_DETECTED = 10_000
"""Maximum number of characters for detecting a language: the library uses no more, after slower work on
all."""

_CJK_SENTENCES = frozenset(("zh", "zh-cn", "zh-tw", "ja", "hi"))
_CJK_WORDS = frozenset(("zh", "zh-cn", "zh-tw", "ja", "ko"))
_CJK_SENTENCE = re.compile(r"[^!?.\n。！？．।]+")  # noqa: RUF001
_CJK_CHARACTER = re.compile(
    "["
    "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"  # Chinese
    "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # Japanese
    "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af"  # Korean
    "]"
)
_WORD = re.compile(r"\w+")
_MARK = re.compile(r"[^\w\s]+")
_COMPOUND = re.compile(r"[^\W_]+(?:[-\u2010\u2011'\u2019.&][^\W_]+)*")
# Marks that may end a sentence, closing characters after them, and the space before the next sentence. The
# start of the marks is matched first, so that a long sequence of them is scanned only once.
_END = re.compile(r"(?<![.!?\u2026])([.!?\u2026]++)[\"'\u2019\u201d)\]*_]*+\s++(?=\S)")
_LAST_WORD = re.compile(r"\S*$")
_SHORTENED = (
    "mr mrs ms dr prof sr jr st rev hon gen col lt sgt capt gov sen rep pres mt ft vs etc e.g i.e cf al approx dept "
    "est fig inc ltd co corp no vol pp ed eds a.m p.m u.s u.k ph.d jan feb mar apr jun jul aug sep sept oct nov dec"
)
_ABBREVIATIONS = frozenset(_SHORTENED.split())


def detect(text: str) -> str:
    """Returns the code of a text's language (`en`, `zh-cn`), empty if it cannot be detected.
    Deterministic."""
    import langdetect  # type: ignore[import-untyped]

    langdetect.DetectorFactory.seed = 0
    try:
        return str(langdetect.detect(text[:MAX_DETECTED]))
    except langdetect.LangDetectException:
        return ""


def language_of_lines(text: str) -> str:
    """Returns the language of most lines; English if none can be detected."""
    lines = [line.strip() for line in text.splitlines() if len(line.strip()) >= SHORTEST_LINE]
    counts = Counter(found for line in lines[:MAX_LINES] if (found := detect(line)))
    return counts.most_common(1)[0][0] if counts else "en"


def count_sentences(text: str) -> int:
    language = language_of_lines(text)
    if language == "th":
        # Thai separates sentences by spaces, and has no mark that ends them.
        return len(text.split())
    if language in _CJK_SENTENCES:
        return sum(bool(part.strip()) for part in _CJK_SENTENCE.findall(text))
    return len(sentences(text))


def sentences(text: str) -> list[str]:
    """Returns the sentences of a text in a script with capitals: a mark ends a sentence, unless it belongs to
    an abbreviation, an initial or a list number, or a lower-case letter follows. A line break alone ends
    none."""
    found, start = [], 0
    for end in _END.finditer(text):
        dots = not set(end.group(1)) & {"!", "?"}
        if dots and (text[end.end()].islower() or not _ends_sentence(text, start, end)):
            continue
        found.append(text[start : end.end()].strip())
        start = end.end()
    rest = text[start:].strip()
    return [*found, rest] if rest else found


def _ends_sentence(text: str, start: int, end: re.Match[str]) -> bool:
    before = _LAST_WORD.search(text, max(start, end.start() - 40), end.start())
    word = before.group().strip("\"'([*_\u201c\u2018") if before else ""
    initial = len(word) == 1 and word.isupper() and word != "I"
    entry = word.isdigit() and text[start : end.start()].strip() == word
    return not (initial or entry or word.lower() in _ABBREVIATIONS)


def count_words(text: str) -> int:
    """Counts words; in Chinese, Japanese and Korean characters. Raises RowFault for Thai, which has no word
    breaks."""
    language = language_of_lines(text)
    if language == "th":
        raise RowFault("'generated_answer' is in Thai, whose words are not set apart and cannot be counted.")
    if language not in _CJK_WORDS:
        return len(_WORD.findall(text))
    pictures = sum(unicodedata.category(character) == "So" for character in text)
    others = _CJK_CHARACTER.sub(" ", _MARK.sub("", text))
    return len(_CJK_CHARACTER.findall(text)) + len(others.split()) + pictures


def capital_words(text: str) -> int:
    """Counts words in capitals; hyphenated ones count as one."""
    return sum(word.isupper() for word in _COMPOUND.findall(text))
