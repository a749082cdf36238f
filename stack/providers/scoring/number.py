"""Numbers as people and models write them, as exact values.

`12`, `-1,234.50`, `1{,}234`, `3/4`, `\\frac{3}{4}`, `1\\frac12`, `6.6\\times 10^{-34}`, `1e-7`, `\\$12.50`, `50\\%`,
`90^\\circ`, `5 \\text{ cm}`. Anything else is not a number here.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

MAX_CHARACTERS = 1_000
MAX_EXPONENT = 5_000
PLACES = Fraction(1, 2 * 10**6)
RELATIVE = Fraction(2, 10**6)
"""Relative tolerance: a decimal number equals another if they differ by less than half of the sixth decimal
place and less than two millionths of the value. So 0.333333 is 1/3, and 0.0000001 is not 0.0000002."""

_CURRENCY = "$€£¥₹₽₩₪₫₺₴₦฿"
_ESCAPED = "\ufdd0"
"""Replaces an escaped dollar, a sign of currency, while dollars around mathematics are removed."""
_SPACE = re.compile(r"\\[,;:! ]|\\q?quad\b|~|[\u00a0\u2009\u202f]")
_WRAPPED = re.compile(r"\\(?:text|mbox|mathrm|textbf|mathbf|operatorname)\s*\{([^{}]*)\}")
_DIGITS = r"(?:\d{1,3}(?:(?:,|\{,\}|(?<=\d)\ (?=\d{3}(?:\ \d{3})*(?:\D|$)))\d{3})+|\d+)(?:\.\d*)?|\.\d+"
_NUMBER = re.compile(
    rf"""(?P<sign>[-+\u2212]?)\s*[{re.escape(_CURRENCY)}]?\s*(?P<sign2>[-\u2212]?)\s*(?:
          10\s*(?:\^|\*\*)\s*(?:\{{\s*(?P<power>[-+\u2212]?\d+)\s*\}}|(?P<power1>[-+\u2212]?\d+))
        | (?P<whole>\d+)?\s*\\[dt]?frac\s*(?:\{{\s*(?P<top>-?\d+)\s*\}}|(?P<top1>\d))\s*
              (?:\{{\s*(?P<bottom>\d+)\s*\}}|(?P<bottom1>\d))
        | (?:(?P<mixed>\d+)\s+)?(?P<upper>-?\d+)\s*/\s*(?P<lower>\d+)
        | (?P<digits>{_DIGITS})
          (?:(?:[eE]|\s*(?:\\times|\\cdot|\\ast|[\u00d7x*·])\s*10\s*(?:\^|\*\*)\s*)\{{?\s*(?P<exponent>[-+\u2212]?\d+)\s*\}}?)?
        )\s*(?P<scale>(?:hundred|thousand|million|billion|trillion)\b)?\s*
        (?P<percent>\\?%|percent\b|per\ cent\b)?\s*(?P<unit>.*)""",
    re.VERBOSE | re.DOTALL,
)
_UNIT = re.compile(
    rf"(?:[A-Za-zµμΩ°{re.escape(_CURRENCY)}][A-Za-zµμΩ]*\.?|\^\s*\{{?\s*(?:\\circ|[23])\s*\}}?|\\circ|\\degree|[²³/·\s]){{0,12}}"
)
_NOT_UNITS = "sin cos tan cot sec csc log exp sqrt mod gcd lcm max min det and or to"
_FUNCTIONS = frozenset(_NOT_UNITS.split())
_SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_MATHS = re.compile(r"\$(?!\s)([^$]*[^\s$])\$(?!\d)")
_ALIASES = {
    "cm": "cm centimeter centimetre", "mm": "mm millimeter millimetre", "m": "m meter metre", "km": "km kilometer kilometre",
    "in": "in inch inche", "ft": "ft foot feet", "yd": "yd yard", "mi": "mi mile", "g": "g gram", "kg": "kg kilogram",
    "mg": "mg milligram", "lb": "lb pound", "oz": "oz ounce", "l": "l liter litre", "ml": "ml milliliter millilitre",
    "s": "s sec second", "min": "min minute", "h": "h hr hour", "day": "day", "week": "week", "year": "year yr",
    "degree": "degree deg ° ^circ circ", "$": "$ dollar usd", "cent": "cent", "€": "€ euro eur",
}  # fmt: skip
_UNITS = {name: unit for unit, names in _ALIASES.items() for name in names.split()}


class Written(NamedTuple):
    """`decimal` is true for a number that may have been rounded. `unit` is empty if there is no known
    unit."""

    value: Fraction
    decimal: bool
    percent: bool
    unit: str


def number(answer: str) -> Written | None:
    """Parses an answer as a number. Returns None if it is anything else."""
    if len(answer) > MAX_CHARACTERS:
        return None
    quoted = _WRAPPED.search(answer) is not None
    plain = _SPACE.sub(" ", answer.replace("\\$", _ESCAPED).replace("\u2212", "-"))
    plain = _WRAPPED.sub(r" \1 ", _MATHS.sub(r"\1", plain)).replace(_ESCAPED, "$")
    plain = plain.strip().removesuffix(".").strip()
    found = _NUMBER.fullmatch(_bare(plain))
    if found is None or not _is_unit(found, quoted):
        return None
    try:
        value, decimal = _value(found)
        value *= _SCALES.get((found["scale"] or "").lower(), 1)
    except (ZeroDivisionError, OverflowError):
        return None
    minus = (found["sign"] == "-") != (found["sign2"] == "-")
    return Written(-value if minus else value, decimal, bool(found["percent"]), _unit(plain, found["unit"]))


def same(one: Written, other: Written) -> bool:
    """Returns whether two numbers are equal. 50 % equals both 0.5 and 50."""
    if one.unit and other.unit and one.unit != other.unit:
        return False
    if one.percent != other.percent:
        percent, plain = (one, other) if one.percent else (other, one)
        return _close(percent, plain, Fraction(1, 100)) or _close(percent, plain, Fraction(1))
    return _close(one, other, Fraction(1))


def _close(one: Written, other: Written, factor: Fraction) -> bool:
    a, b = one.value * factor, other.value
    if a == b or not (one.decimal or other.decimal):
        return a == b
    return near(a, b)


def near(a: Fraction, b: Fraction) -> bool:
    """Returns whether one may be the rounded other."""
    return abs(a - b) <= PLACES and abs(a - b) <= RELATIVE * max(abs(a), abs(b))


def _bare(plain: str) -> str:
    """Returns the text without braces or bold marks around all of it."""
    while len(plain) > 1 and (plain[0], plain[-1]) in (("{", "}"), ("*", "*")) and "}" not in plain[1:-1]:
        plain = plain[1:-1].strip()
    return plain


def _is_unit(found: re.Match[str], quoted: bool) -> bool:
    """Returns whether the rest is a unit: a known one, or a word. Other letters that are not quoted as text,
    as in `5m` and `3 xy`, may be variables."""
    unit = found["unit"].strip()
    if not _UNIT.fullmatch(unit):
        return False
    word = re.match(r"[A-Za-z]+", unit)
    if word is None or quoted:
        return True
    name, spaced = word.group().lower(), found.string[found.start("unit") - 1].isspace()
    if name in _UNITS or name.removesuffix("s") in _UNITS:
        return spaced or len(name) > 1
    return spaced and len(name) > 2 and name not in _FUNCTIONS


def _unit(plain: str, said: str) -> str:
    if plain.lstrip("-+ ").startswith(("$", "€")):
        return plain.lstrip("-+ ")[0]
    name = re.sub(r"[\s{}\\.]", "", said).lower()
    return _UNITS.get(name) or _UNITS.get(name.removesuffix("s"), "")


def _value(found: re.Match[str]) -> tuple[Fraction, bool]:
    """Raises ZeroDivisionError, and OverflowError for an exponent that is too large for exact arithmetic."""
    if found["digits"] is not None:
        digits = re.sub(r"[^\d.]", "", found["digits"])
        exponent = int(found["exponent"] or 0)
        if abs(exponent) > MAX_EXPONENT:
            raise OverflowError
        return Fraction(digits if digits[-1] != "." else digits[:-1]) * Fraction(10) ** exponent, (
            "." in digits or bool(found["exponent"])
        )
    power = found["power"] or found["power1"]
    if power is not None:
        if abs(int(power)) > MAX_EXPONENT:
            raise OverflowError
        return Fraction(10) ** int(power), False
    top = found["top"] or found["top1"] or found["upper"]
    bottom = found["bottom"] or found["bottom1"] or found["lower"]
    return Fraction(int(top), int(bottom)) + int(found["whole"] or found["mixed"] or 0), False
