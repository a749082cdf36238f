"""JSON paths, a part of RFC 9535: `$.a['b'][0][*]..c` without filters, slices and lists of names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from stack.errors import Invalid

Keys = Sequence[str | int]
"""The place of a value: names of fields, and indexes of items."""

_SEGMENT = re.compile(
    r"(?P<deep>\.\.)?(?:(?(deep)|\.)(?P<name>[^\s.\[\]'\"*]+)|(?(deep)|\.)(?P<any>\*)"
    r"|\[(?:(?P<index>\d+)|(?P<all>\*)|'(?P<single>[^']*)'|\"(?P<double>[^\"]*)\")\])"
)


class _Segment(NamedTuple):
    """`key` is None for any; a `deep` segment is preceded by any number of others."""

    key: str | int | None
    deep: bool


class JsonPath:
    """Raises Invalid for a text that is not a path; `where` names its field."""

    def __init__(self, text: str, where: str = "path") -> None:
        self.text = text
        self._segments: list[_Segment] = []
        at = 1
        while text.startswith("$") and at < len(text):
            found = _SEGMENT.match(text, at)
            if found is None:
                break
            self._segments.append(_segment(found))
            at = found.end()
        if at != len(text) or not self._segments:
            raise Invalid(
                f"{where} is {text[:80]!r}, which is not a JSON path such as `$.customer.email`, `$.items[*].price` or "
                "`$..token`; names with other characters are quoted: `$['a b']`."
            )

    @property
    def name(self) -> str:
        """The last name in the path, "" if there is none."""
        names = [one.key for one in self._segments if isinstance(one.key, str)]
        return names[-1] if names else ""

    def matches(self, keys: Keys) -> bool:
        """Returns whether the path selects the value at this place, or one that contains it."""
        states = {0}
        for key in keys:
            states = {following for state in states for following in self._after(state, key)}
            if len(self._segments) in states:
                return True
        return False

    def _after(self, state: int, key: str | int) -> set[int]:
        """Returns how many segments may be matched after one more key, if `state` were before it."""
        segment = self._segments[state]
        found = {state} if segment.deep else set()
        if segment.key is None or (segment.key == key and type(segment.key) is type(key)):
            found.add(state + 1)
        return found


def _segment(found: re.Match[str]) -> _Segment:
    deep = found["deep"] is not None
    if found["any"] or found["all"]:
        return _Segment(None, deep)
    if found["index"]:
        return _Segment(int(found["index"]), deep)
    return _Segment(found["name"] or found["single"] or found["double"] or "", deep)
