"""Ids chosen by callers: they are part of paths, so a path must carry them unchanged."""

from __future__ import annotations

import re
from collections.abc import Collection

from stack.errors import Invalid

MAX_ID_CHARACTERS = 255
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def check_chosen_id(given: str, field: str, reserved: Collection[str] = ()) -> None:
    """Raises Invalid for an id that cannot be part of a path: empty or too long, with control characters,
    with parts that clients remove (`a//b`, `.`, `..`), or ending in one of the path parts `reserved`."""
    problem = _problem(given, reserved)
    if problem:
        raise Invalid(f"{field} {problem}.")


def _problem(given: str, reserved: Collection[str]) -> str:
    if not given:
        return "is empty; choose a name, or leave it out"
    if len(given) > MAX_ID_CHARACTERS:
        return f"has {len(given)} characters; at most {MAX_ID_CHARACTERS} are allowed"
    if _CONTROL.search(given):
        return "holds a control character or half of a surrogate pair; leave it out"
    parts = given.split("/")
    if not all(part.strip() and part not in (".", "..") for part in parts):
        return f"is {given!r}: a slash has a name on both sides, which is not `.` or `..`"
    if parts[-1] in reserved:
        return f"is {given!r}: an id may not end in {parts[-1]!r}, which is a path of this server"
    return ""
