"""The fields of a JSON object of another tool; those that are not read are kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

MAX_KEPT_BYTES = 256 * 1024
"""The kept values of a session have at most this size as JSON, in bytes; what exceeds it is only counted."""
MAX_KINDS = 500
"""Maximum number of kinds that are counted; further ones count as others."""
MAX_KIND = 100
"""Maximum length of the name of a kind in characters."""
OTHERS = "others"

_INDEX = re.compile(r"(?<=\[)[0-9]+|(?<=^line) [0-9]+")


class Kept:
    """Values that have no place in the events of a session: `counts` by kind, and the values as far as they fit."""

    def __init__(self, max_bytes: int = MAX_KEPT_BYTES) -> None:
        self._counts: dict[str, int] = {}
        self._values: list[dict[str, Any]] = []
        self._room = max_bytes
        self._left_out = 0
        self.source: dict[str, Any] = {}
        """The ids of the session and of the program that recorded it."""

    def keep(self, place: str, value: Any) -> None:
        """`place` names the value, such as `steps[3].extra` or `line 7`."""
        self.count(_INDEX.sub("", place))
        size = len(msgspec.json.encode(value)) + len(place)
        if size > self._room:
            self._left_out += 1
            return
        self._room -= size
        self._values.append({"place": place, "value": value})

    def count(self, kind: str) -> None:
        """Counts something without keeping it."""
        kind = kind[:MAX_KIND]
        if kind not in self._counts and len(self._counts) >= MAX_KINDS:
            kind = OTHERS
        self._counts[kind] = self._counts.get(kind, 0) + 1

    def extra(self) -> dict[str, Any]:
        """Returns the value of `session.imported.extra`; empty if there is nothing."""
        found = {"source": self.source, "counts": self._counts, "values": self._values}
        shown: dict[str, Any] = {name: value for name, value in found.items() if value}
        return shown | ({"left_out": self._left_out} if self._left_out else {})


class Fields:
    """Reads an object by its fields. A field of another type than expected counts as absent, and is kept."""

    def __init__(self, value: Mapping[str, Any], place: str, kept: Kept) -> None:
        self.value = value
        self._read: set[str] = set()
        self.place = place
        self.kept = kept

    def __contains__(self, name: str) -> bool:
        return self.value.get(name) is not None

    def any(self, name: str) -> Any:
        self._read.add(name)
        return self.value.get(name)

    def text(self, name: str) -> str:
        """Returns "" if the field is absent."""
        value = self.value.get(name)
        if not isinstance(value, str):
            return ""
        self._read.add(name)
        return value

    def count(self, name: str) -> int | None:
        """Returns a number that is not negative."""
        value = self.value.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
            return None
        self._read.add(name)
        return value

    def object(self, name: str) -> Fields | None:
        value = self.value.get(name)
        if not isinstance(value, dict):
            return None
        self._read.add(name)
        return Fields(value, self._at(name), self.kept)

    def objects(self, name: str) -> list[Fields]:
        """Returns the objects of a list."""
        value = self.value.get(name)
        if not isinstance(value, list):
            return []
        self._read.add(name)
        found = []
        for index, one in enumerate(value):
            if isinstance(one, dict):
                found.append(Fields(one, f"{self._at(name)}[{index}]", self.kept))
            else:
                self.kept.keep(f"{self._at(name)}[{index}]", one)
        return found

    def skip(self, *names: str) -> None:
        """The values of these fields are not needed."""
        self._read.update(names)

    def keep_rest(self) -> None:
        """Keeps the fields that were not read, except those without content."""
        for name, value in self.value.items():
            if name not in self._read and value not in (None, "", [], {}):
                self.kept.keep(self._at(name), value)

    def _at(self, name: str) -> str:
        return f"{self.place}.{name}" if self.place else name
