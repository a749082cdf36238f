"""Replaces values in texts by typed placeholders, which are the same for the same value in one file."""

from __future__ import annotations

import base64
import binascii
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

import msgspec

from stack.domain.json_path import Keys
from stack.services.replay.json_tokens import Token, is_json_container, tokens
from stack.services.replay.redaction_rules import Rules

MAX_DEPTH = 4
"""How deep JSON texts inside of JSON texts are looked into."""
WITHIN_CHARACTERS = 6
"""A value that a path selected is replaced wherever a text is that value, and within texts if it has at least this
many characters."""

PLACEHOLDER = re.compile(r"\[([a-z][a-z0-9_]*):([0-9]{1,9})\]")
_DATA_URL = re.compile(r"data:(?:text/|application/(?:json|xml|x-ndjson))[^,]*,", re.IGNORECASE)
_encode = msgspec.json.Encoder().encode

Places = tuple[Keys, ...]
"""The places of a value: in its event, and in each JSON text that holds it."""


class Edit(NamedTuple):
    """Replaces the characters from `start` to `end`."""

    start: int
    end: int
    text: str


class Edits:
    """Changes of one text, in order and without overlaps."""

    def __init__(self, edits: Sequence[Edit]) -> None:
        self._edits = edits
        self._ends = [one.end for one in edits]
        self._shifts = [0]
        for one in edits:
            self._shifts.append(self._shifts[-1] + len(one.text) - (one.end - one.start))

    def __bool__(self) -> bool:
        return bool(self._edits)

    def applied(self, text: str) -> str:
        pieces: list[str] = []
        at = 0
        for one in self._edits:
            pieces += (text[at : one.start], one.text)
            at = one.end
        return "".join((*pieces, text[at:]))

    def moved(self, position: int) -> int:
        """Returns where a place between characters is afterwards: after the new text, if it was within the old one."""
        index = bisect_right(self._ends, position)
        if index < len(self._edits) and self._edits[index].start < position:
            return self._edits[index].end + self._shifts[index + 1]
        return position + self._shifts[index]


class Placeholders:
    """Numbers the values of each rule in the order in which they are found. `taken` are placeholders that are in the file
    already: they keep their meaning."""

    def __init__(self, taken: Iterable[tuple[str, int]]) -> None:
        self._texts: dict[tuple[str, str], str] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        self._last: Counter[str] = Counter()
        for name, number in taken:
            self._last[name] = max(self._last[name], number)

    def text(self, rule: str, value: str) -> str:
        found = self._texts.get((rule, value))
        if found is None:
            self._last[rule] += 1
            found = self._texts[(rule, value)] = f"[{rule}:{self._last[rule]}]"
        return found

    def number(self, rule: str, digits: str) -> int:
        """Returns 1 for the first number of the rule, and so on."""
        return self._numbers.setdefault(
            (rule, digits), 1 + sum(1 for name, _ in self._numbers if name == rule)
        )


class TextRedaction:
    """`counts` counts the replaced values of each rule. `secrets` are the texts that paths have selected: they are replaced
    in all other texts too."""

    def __init__(self, rules: Rules, placeholders: Placeholders) -> None:
        self._rules = rules
        self._placeholders = placeholders
        self.counts: Counter[str] = Counter(dict.fromkeys(rules.names, 0))
        self.secrets: dict[str, str] = {}
        self._within: re.Pattern[str] | None = None

    def begin_again(self) -> None:
        """Counts from 0, and begins to look for the secrets that were found."""
        self.counts = Counter(dict.fromkeys(self._rules.names, 0))
        # The longest first: one may contain another.
        long = sorted([one for one in self.secrets if len(one) >= WITHIN_CHARACTERS], key=len, reverse=True)
        self._within = re.compile("|".join(map(re.escape, long))) if long else None

    def text(self, text: str, places: Places = ()) -> str:
        """Returns the text with its values replaced."""
        edits = self.edits(text, places)
        return edits.applied(text) if edits else text

    def edits(self, text: str, places: Places = (), *, counts: bool = True) -> Edits:
        """Returns the changes of a text. A JSON text stays one."""
        found = list(self._found(text, places, self._selecting(places), 0))
        if counts:
            self.counts.update([rule for rule, _ in found])
        return Edits([edit for _, edit in found])

    def number(self, digits: str, places: Places, *, free: bool) -> int | None:
        """Returns what replaces a number: one that a path selects or, in `free` JSON, that is a match of a pattern."""
        rule = self._selecting(places) or (self._number_rule(digits) if free else "")
        if not rule:
            return None
        self.counts[rule] += 1
        return self._placeholders.number(rule, digits)

    def _selecting(self, places: Places) -> str:
        """Returns the name of the first rule whose path selects a value at one of these places, "" if there is none."""
        for name, path in self._rules.paths:
            if any(path.matches(keys) for keys in places):
                return name
        return ""

    def _number_rule(self, digits: str) -> str:
        for rule in self._rules.patterns:
            if (0, len(digits)) in rule.spans(digits):
                return rule.name
        return ""

    def _found(self, text: str, places: Places, rule: str, depth: int) -> Iterator[tuple[str, Edit]]:
        """Yields the changes in order; `rule` is that which selects all of the text."""
        if depth < MAX_DEPTH and is_json_container(text):
            for token in tokens(text):
                yield from self._in_token(token, text, places, rule, depth + 1)
        elif rule and text and not PLACEHOLDER.fullmatch(text):
            self.secrets[text] = rule
            yield rule, Edit(0, len(text), self._placeholders.text(rule, text))
        elif (match := _DATA_URL.match(text)) is not None:
            yield from self._in_data_url(text, match.end(), depth)
        else:
            yield from self._in_plain(text)

    def _in_token(
        self, token: Token, text: str, places: Places, rule: str, depth: int
    ) -> Iterator[tuple[str, Edit]]:
        inner = (*((*keys, *token.keys) for keys in places), token.keys)
        if token.is_number:
            selected = rule or self._selecting(inner) or self._number_rule(token.text)
            if selected:
                number = self._placeholders.number(selected, token.text)
                yield selected, Edit(token.start, token.end, str(number))
            return
        selected = "" if token.is_name else rule or self._selecting(inner)
        found = list(self._found(token.text, inner, selected, depth))
        if not found:
            return
        if "\\" not in text[token.start : token.end]:
            for name, (start, end, new) in found:
                escaped = _encode(new).decode()[1:-1]
                yield name, Edit(token.start + 1 + start, token.start + 1 + end, escaped)
            return
        changed = Edits([edit for _, edit in found]).applied(token.text)
        yield found[0][0], Edit(token.start, token.end, _encode(changed).decode())
        # They are counted, and change nothing more.
        yield from ((name, Edit(token.end, token.end, "")) for name, _ in found[1:])

    def _in_data_url(self, text: str, start: int, depth: int) -> Iterator[tuple[str, Edit]]:
        head, body = text[:start], text[start:]
        is_base64 = head.lower().endswith(";base64,")
        try:
            raw = unquote_to_bytes(body)
            content = (base64.b64decode(raw, validate=True) if is_base64 else raw).decode()
        except (binascii.Error, ValueError):
            yield from self._in_plain(text)
            return
        found = list(self._found(content, (), "", depth + 1))
        if found:
            new = Edits([edit for _, edit in found]).applied(content).encode()
            written = base64.b64encode(new).decode() if is_base64 else quote(new)
            yield found[0][0], Edit(start, len(text), written)
            yield from ((name, Edit(len(text), len(text), "")) for name, _ in found[1:])

    def _in_plain(self, text: str) -> Iterator[tuple[str, Edit]]:
        if rule := self.secrets.get(text, ""):
            yield rule, Edit(0, len(text), self._placeholders.text(rule, text))
            return
        taken: list[tuple[int, int, str]] = []
        if self._within is not None:
            taken = [(*one.span(), self.secrets[one.group()]) for one in self._within.finditer(text)]
        for pattern in self._rules.patterns:
            for start, end in pattern.spans(text):
                index = bisect_right(taken, (start, end))
                is_free = (index == 0 or taken[index - 1][1] <= start) and (
                    index == len(taken) or end <= taken[index][0]
                )
                if start < end and is_free:
                    taken.insert(index, (start, end, pattern.name))
        for start, end, rule in taken:
            yield rule, Edit(start, end, self._placeholders.text(rule, text[start:end]))
