"""Finds the letter that a text chooses as the answer to a multiple-choice question.

A text is normalised first: one form of each character, no emphasis, no LaTeX commands, boxes as the word
`Answer:`. In it a choice is a separate letter, possibly in brackets, that is not followed by text which makes
it part of a word or a statement ("Answer: Because", "Answer: I think so", "Answer: A is wrong", "Answer: A or
B"). The choice of the text is that of its last announcement ("The answer is B", in many languages). Without
one it is a line that contains only a choice, otherwise a statement ("B is correct", "I choose B"), otherwise
the only line that starts with a marked letter ("B) Paris").
"""

from __future__ import annotations

import re
import unicodedata

from stack.providers.patterns import spans

MAX_HEAD = 1_000
MAX_TAIL = 8_000
MAX_ANNOUNCEMENTS = 200

# Nouns that announce an answer, and words that may be between them and the letter.
_NOUNS = (
    "answers?", "(?:correct|right|best|final|chosen|my|selected) (?:option|choice|letter|response|alternative|selection)",
    "(?:option|choice) correcta?",
    "উত্তর", "उत्तर", "antwort", "답변", "정답", "답", "正解", "正答", "答案", "答复", "答曰", "答え", "回答", "解答", "答",
    "(?:ال)?إجابة", "(?:ال)?جواب", "respuesta", "opción correcta", "risposta", "opzione corretta", "jawaban(?:nya)?",
    "réponse", "resposta", "opção correta", "jibu", "idahun", "ìdáhùn", "idáhùn", "àmọ̀nà", "àdáhùn", "ànúgọ", "àṣàyàn",
    "ответ", "відповідь", "odpowiedź", "odpověď", "cevap", "yan\u0131t", "đáp án", "antwoord", "svar", "vastaus", "câu trả lời",
    "απάντηση", "תשובה", "คำตอบ", "پاسخ", "故选", "故選", "应选", "應選", "选择", "選擇", "我选", "我選",
)  # fmt: skip
_COPULAS = (
    "is", "are", "was", "would be", "should be", "must be", "has to be", "will be", "ist", "lautet", "wäre", "es", "sería",
    "est", "serait", "é", "è", "sarebbe", "adalah", "ialah", "ni", "jest", "это", "är", "er", "là", "είναι", "هي", "هو", "है", "হল", "হলো",
)  # fmt: skip
_ATTACHED = ("是", "为", "為", "は", "が", "은", "는", "选", "選", "应为", "應為", "应该是", "คือ")

_NOUN = "|".join(unicodedata.normalize("NFKC", one) for one in sorted(_NOUNS, key=len, reverse=True))
_COPULA = "|".join(sorted(_COPULAS, key=len, reverse=True))
_LINK = (
    rf"(?:\s*(?:{'|'.join(sorted(_ATTACHED, key=len, reverse=True))}|[:=ঃ→]|->)+"
    rf"|(?:\s+(?:{_COPULA})|['’]s)\b(?:\s*:)?|\s*[-–—]|\s*\n)"  # noqa: RUF001
)
_WORDS = r"(?:[^\S\n]+[^\s:=.,;!?()\[\]]{1,20}){0,6}?"
_NOUNS_IN = f"(?i)(?:{_NOUN})"
_ANNOUNCED = re.compile(
    rf"(?<![A-Za-zÀ-ɏ])(?:{_NOUN})(?!\s+(?:choices|options|key)\b)(?:{_WORDS}{_LINK})?", re.IGNORECASE
)
_ADVERBS = re.compile(
    r"\s*(?:(?:definitely|clearly|therefore|thus|hence|most|likely|probably|simply|indeed|the|option|choice|letter|"
    r"answer|is|alternative|alternativa|opci[oó]n|op[cç][aã]o|opzione|opsi|pilihan|buchstabe|variante?|la|le|die|der|das|"
    r"选项|選項|선택지|옵션|вариант)\b[\s:]*){1,4}",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"(?:\b(?:wrong|incorrect|false|worst|not|if|whether|unless|suppose|assuming|assume|falsche?|incorrecta|"
    r"mauvaise|wenn|si)(?:\s+(?:the|my|an?|this|that|la|el|die))?\s*)$",
    re.IGNORECASE,
)

# The letter of an option. Letters of other scripts represent the first four.
_SAME = dict(zip("أبجدঅবডঢ", "ABCDABCD", strict=True))
_LETTER = r"(?P<letter>[A-Za-zأبجدঅবডঢ])"
_OPEN = r"[\s,、(\[{\"'“‘«„「『【《<:=#>-]{0,24}"  # noqa: RUF001
_CLOSE = r"(?P<close>[)\]}\"'”’»“」』】》>]*)"  # noqa: RUF001
_ALONE = (
    # It is not followed by the rest of a word, a name (A-ha, B12, C#, A.M.) or a formula.
    r"(?![^\W_\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])(?![\u0300-\u036f\u064b-\u0652\u0981-\u0983\u09bc-\u09cd])"
    r"(?!['’][A-Za-z])(?![+#])(?![-^%@\\][^\s])(?!\.[A-Za-z](?:\.|\b))(?!\s*[=^+])"  # noqa: RUF001
)
_CHOICE = re.compile(_OPEN + _LETTER + _ALONE + _CLOSE)
_ANOTHER = re.compile(
    r"\s*(?:[,/&+|]|\b(?:or|and|nor|und|oder|et|ou|y|o|e|u|atau|dan|и|или)\b|和|或|と|か|و|أو)(?:\s*(?:or|and)\b)?"
    + _OPEN + r"(?:(?:option|choice)\s+)?" + _LETTER.replace("letter", "other") + _ALONE
    + r"[)\]}\"'”’»]*(?=\s*(?:[.,;!?]|\n|$|(?:or|and)\b))",  # noqa: RUF001
    re.IGNORECASE,
)  # fmt: skip
_DOUBTED = re.compile(r"\s*\?")
_WORD = re.compile(r"[^\S\n]+(?P<word>[A-Za-zÀ-ɏ'’]+)")  # noqa: RUF001
_GOES_ON = re.compile(
    r"\s+(?:(?:because|since|as|due|for|given|based|where|which|so|therefore|hence|not|from|among|here|"
    r"weil|da|denn|porque|pues|ya que|parce|car|puisque|perch[eé]|pois|karena)\b"
    r"|(?:is|was|must be|would be|ist|es|est|è|é)\s+(?:(?:the|most|my|definitely|clearly|la|die|le)\s+)*"
    r"(?:correct|right|best|true|accurate|answer|final|richtig|correcta?|correcte?|corretta|correta))",
    re.IGNORECASE,
)
_VERBS = (
    "is was are isn't wasn't has have had can cannot can't could may might would will won't seems looks appears does "
    "doesn't do don't or and nor vs versus to of ist es est"
)
_STATES = frozenset(_VERBS.split())

_LINE = re.compile(
    r"^[^\S\n]*(?:option |choice |letter )?"
    + _OPEN.replace(r"\s", " ")
    + _LETTER
    + _CLOSE
    + r"[\s.,;:!。]*$",
    re.MULTILINE | re.IGNORECASE,
)
_STATED = re.compile(
    r"(?<![\w'’])(?:(?:I|we)(?:'d|'ll| would| will)? (?:choose|chose|pick|select|vote for|go with|opt for)(?: option| choice)?"  # noqa: RUF001
    + _OPEN + r"(?P<chosen>[A-Za-z])(?![\w'’])"  # noqa: RUF001
    + r"|(?P<stated>[A-Z])[)\].]*[^\S\n]+(?:is|must be|would be)[^\S\n]+(?:(?:the|most|definitely|clearly|indeed)[^\S\n]+)*"
    r"(?:correct|right|best|the answer(?=\s*(?:[.,;!]|\n|$)))\b)",
)  # fmt: skip
_MARKED = re.compile(r"^[^\S\n]*\(?" + _LETTER + r"[).:](?=\s)(?!\s*$)", re.MULTILINE)

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]")
_BOX = re.compile(r"\\f?boxed\s*(?=[\s{])|<(?:final_)?answer>", re.IGNORECASE)
_COMMANDS = re.compile(
    r"\\(?:text|textbf|textit|textrm|emph|mathrm|mathbf|mathit|mathsf|mathbb|operatorname|bf|rm|it|underline|left|right|"
    r"quad|displaystyle)\b|\\[,;: !]|</?(?:[a-z]|[A-Za-z_]{2,20})>|<(?P<tag>[A-Z])>(?=[^<>]*</(?P=tag)>)|</[A-Z]>|[*`~$]|\\(?=[()\[\]])"
)
_EMPHASIS = re.compile(r"(?<![^\W_])_+|_+(?![^\W_])")


def chosen_letter(said: str) -> str | None:
    """Returns the chosen letter, in upper case and in Latin script. Returns None if the text chooses none.

    Only the beginning and the end of a long text are read, so that it takes at most some milliseconds.
    """
    if len(said) > MAX_HEAD + MAX_TAIL:
        said = f"{said[:MAX_HEAD]}\n{said[-MAX_TAIL:]}"
    text = _plain(said)
    nouns = [start for start, _ in spans(_NOUNS_IN, text)]
    for start in reversed(nouns[-MAX_ANNOUNCEMENTS:]):
        found = _announced(text, start)
        if found:
            return found
    return _line(text) or _statement(text) or _marked(text)


def letter_of(expected: str) -> str | None:
    """Returns the letter of an expected answer ("B", "b", "(B)", "B. Paris"), or None if it does not name an
    option."""
    text = _plain(expected[:MAX_HEAD]).strip()
    return _choice_at(text, 0) or _marked(text)


def _plain(said: str) -> str:
    text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", said))
    text = _BOX.sub("\nAnswer: ", text)
    return _EMPHASIS.sub("", _COMMANDS.sub("", text))


def _announced(text: str, start: int) -> str | None:
    noun = _ANNOUNCED.match(text, start)
    if noun is None or _DENIED.search(text, max(0, start - 40), start):
        return None
    return _choice_at(text, noun.end())


def _choice_at(text: str, start: int) -> str | None:
    adverbs = _ADVERBS.match(text, start)
    for begin in (start, adverbs.end()) if adverbs else (start,):
        found = _CHOICE.match(text, begin)
        if found and _stands(text, found):
            return _latin(found["letter"])
    return None


def _stands(text: str, choice: re.Match[str]) -> bool:
    """Returns whether the letter is still the choice, given the text after it."""
    end = choice.end()
    if _DOUBTED.match(text, end) or _ANOTHER.match(text, end):
        return False
    word = _WORD.match(text, end)
    if word is None or choice["close"] or _GOES_ON.match(text, end):
        return not (word and word["word"].lower() in _STATES) or _GOES_ON.match(text, end) is not None
    letter = choice["letter"]
    return letter.isupper() and letter not in "AI" and word["word"].lower() not in _STATES


def _line(text: str) -> str | None:
    lines = list(_LINE.finditer(text))
    return _latin(lines[-1]["letter"]) if lines else None


def _statement(text: str) -> str | None:
    found = None
    for statement in _STATED.finditer(text):
        if not _DENIED.search(text, max(0, statement.start() - 40), statement.start()):
            found = statement["chosen"] or statement["stated"]
    return _latin(found) if found else None


def _marked(text: str) -> str | None:
    """Returns the letter of the only line that starts with a marked letter; several lines are the options
    themselves."""
    lines = _MARKED.findall(text)
    return _latin(lines[0]) if len(lines) == 1 else None


def _latin(letter: str) -> str:
    return _SAME.get(letter, letter).upper()
