"""Rules by which the values of a session file are redacted: built-in patterns, own patterns, and JSON paths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from schemas.api.session_file import RedactionRules
from stack.domain.json_path import JsonPath
from stack.errors import Invalid
from stack.providers import patterns

BUILT_IN: Mapping[str, str] = {
    "email": r"[\pL\pN._%+-]+@[\pL\pN-]+(?:\.[\pL\pN-]+)*\.\pL{2,}",
    "api_key": r"\b(?:sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}"
    r"|xox[abeprs]-[A-Za-z0-9-]{10,}|A(?:KI|SI)A[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{30,}|hf_[A-Za-z0-9]{20,}"
    r"|[rsp]k_(?:live|test)_[A-Za-z0-9]{16,}|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+)",
    "bearer": r"(?i)\bbearer\s+([A-Za-z0-9._~+/=-]{8,})",
    "card": r"\b\d(?:[ -]?\d){12,18}\b",
}
"""Patterns of RE2. If a pattern has a group, the group is replaced instead of the whole match. A match of `card` is a
payment card's number only if its check digit is right."""
ALL = "all"

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


class PatternRule(NamedTuple):
    name: str
    pattern: str

    def spans(self, text: str) -> Iterable[tuple[int, int]]:
        """Yields start and end of the values to replace, in characters."""
        found = patterns.group_spans(self.pattern, text)
        if self.name == "card" and self.pattern == BUILT_IN["card"]:
            return (span for span in found if _has_check_digit(text[slice(*span)]))
        return found


class PathRule(NamedTuple):
    name: str
    path: JsonPath


class Rules(Struct, frozen=True):
    """The rules of one redaction. Patterns apply to every text; of two that overlap, the first one of the list counts."""

    patterns: tuple[PatternRule, ...] = ()
    paths: tuple[PathRule, ...] = ()

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys([*(one.name for one in self.patterns), *(one.name for one in self.paths)]))


def rules_of(
    builtin: Sequence[str] = (),
    own: Sequence[tuple[str, str]] = (),
    paths: Sequence[tuple[str, str]] = (),
) -> Rules:
    """Returns the rules: names of built-in patterns (or all), own patterns and paths, each with a name; "" names a path by
    its last name. Raises Invalid. No error shows a pattern, which may hold a secret."""
    chosen = list(BUILT_IN) if ALL in builtin else list(dict.fromkeys(builtin))
    for name in chosen:
        if name not in BUILT_IN:
            raise Invalid(
                f"There is no built-in redaction {name[:40]!r}; it must be one of: {', '.join(BUILT_IN)}, {ALL}."
            )
    for name, pattern in own:
        _check_name(name)
        try:
            patterns.compiled(pattern)
        except ValueError as error:
            raise Invalid(f"The pattern of the redaction {name!r} cannot be used: {_reason(error)}") from None
    selected = []
    for name, text in paths:
        path = JsonPath(text, f"The path of the redaction {name!r}" if name else "The path of a redaction")
        selected.append(PathRule(name or _name_of(path), path))
        _check_name(selected[-1].name)
    found = [PatternRule(name, BUILT_IN[name]) for name in chosen]
    return Rules((*found, *(PatternRule(*one) for one in own)), tuple(selected))


def listed_paths(given: RedactionRules) -> list[tuple[str, str]]:
    """Returns the paths with their names, as `rules_of` takes them."""
    return [
        (name, path) for name, own in given.paths.items() for path in ([own] if isinstance(own, str) else own)
    ]


def rules_in_file(content: bytes, ending: str) -> RedactionRules:
    """Returns the rules in a JSON or TOML file. Raises Invalid."""
    try:
        decode: Any = msgspec.json.decode if ending == ".json" else msgspec.toml.decode
        found: RedactionRules = decode(content, type=RedactionRules)
        return found
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"The rules of redaction cannot be read: {error}.") from None


def _name_of(path: JsonPath) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", path.name.lower()).strip("_")
    return name if _NAME.fullmatch(name) else "value"


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise Invalid(
            f"A redaction is named {name[:40]!r}; a name has at most 40 lower-case letters, digits and _, a letter first."
        )


def _reason(error: ValueError) -> str:
    """Returns the reason without what the error quotes of the pattern."""
    return str(error).partition(":")[0].rstrip(".") + "."


def _has_check_digit(text: str) -> bool:
    """Returns whether the last digit is right (Luhn, ISO/IEC 7812-1)."""
    digits = [int(one) for one in text if one.isdigit()]
    doubled = [digit * 2 for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(one - 9 if one > 9 else one for one in doubled)) % 10 == 0
