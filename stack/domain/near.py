"""Finds the known name that was probably meant by an unknown one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

NEAR = 0.75
"""Minimum similarity, where 1.0 means equal: tolerates an extra or swapped letter, another case, `-` for
`_`."""
MAX_CHARACTERS = 100
MIN_WORD_CHARACTERS = 4

_VERSION = re.compile(r"v[0-9]+[a-z0-9]*")


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns the known name most similar to `name`, except `name` itself; empty if none is similar
    enough."""
    similar = [(max(likeness(name, one), _leading_words(name, one)), one) for one in known if one != name]
    best, found = max(similar, default=(0.0, ""), key=lambda pair: pair[0])
    return found if best >= NEAR else ""


def nearest_path(path: str, templates: Iterable[str]) -> str:
    """Returns the template most similar to `path`, where parameters (`{id}`) match any part; empty if none is
    similar enough. Common parts do not count: the rest must be similar. Versions (`v1`) count as similar."""
    parts = path.split("/")
    ranked = [(*rank, one) for one in templates if (rank := _rank(parts, one.split("/"))) is not None]
    return min(ranked)[-1] if ranked else ""


def _rank(parts: list[str], template: list[str]) -> tuple[float, bool, bool] | None:
    """Returns the rank of the template (lower is better); None if it is not similar enough."""
    other = [
        parts[index] if index < len(parts) and _matches(one, parts[index]) else one
        for index, one in enumerate(template)
    ]
    own = list(parts)
    while own and other and own[0] == other[0]:
        del own[0], other[0]
    while len(parts) == len(template) and own and own[-1] == other[-1]:
        del own[-1], other[-1]
    rest, wanted = "/".join(own), "/".join(other)
    ratio = likeness(rest, wanted) if rest or wanted else 1.0
    if ratio < NEAR:
        return None
    version = template[1] if len(template) > 1 else ""
    return (1 - ratio) * (len(rest) + len(wanted)), version != "".join(parts[1:2]), version == "v1"


def _matches(one: str, part: str) -> bool:
    return one.startswith("{") or bool(_VERSION.fullmatch(one) and _VERSION.fullmatch(part))


def likeness(one: str, other: str) -> float:
    """Returns the similarity of two names, from 0 to 1, ignoring case and separators."""
    matcher = SequenceMatcher(None, _plain(one), _plain(other), autojunk=False)
    return 0.0 if matcher.quick_ratio() < NEAR else matcher.ratio()


def _leading_words(name: str, known: str) -> float:
    """Returns a high similarity if `known` continues `name` with further words: `attributes_to_return`."""
    return NEAR if len(name) >= MIN_WORD_CHARACTERS and known.startswith(f"{name}_") else 0.0


def _plain(name: str) -> str:
    return re.sub(r"[-_ ]", "", name[:MAX_CHARACTERS].casefold())
