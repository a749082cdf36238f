"""Selects events of the log by their streams and names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec import Struct

from stack.domain.near import nearest
from stack.errors import Invalid


class EventFilter(Struct, frozen=True):
    """`names` are stored names, all if empty. `category` or `stream` (`<category>/<id>`) limit the streams."""

    names: Sequence[str] = ()
    category: str = ""
    stream: str = ""


def event_filter(stream: str, names: Iterable[str], known: Mapping[str, Collection[str]]) -> EventFilter:
    """Returns the filter for a stream (`session/<id>`) or a category (`session`), and for names (`turn.completed`,
    `turn.*`). `known` maps names to stored names. Raises Invalid."""
    categories = sorted({name.partition(".")[0] for name in known})
    category, slash, id = stream.partition("/")
    if stream and category not in categories:
        raise Invalid(f"stream is {stream[:100]!r}; {_meant(category, categories)}")
    if slash and not id:
        raise Invalid(
            f"stream is {stream[:100]!r}; give the id after the slash, or {category} for all of them."
        )
    stored = [name for one in names for name in _stored(one, known, categories)]
    return EventFilter(tuple(dict.fromkeys(stored)), "" if slash else category, stream if slash else "")


def _stored(name: str, known: Mapping[str, Collection[str]], categories: Sequence[str]) -> list[str]:
    if name in known:
        return list(known[name])
    category = name.removesuffix(".*")
    if category != name and category in categories:
        return [one for own, stored in known.items() if own.startswith(f"{category}.") for one in stored]
    every = [*known, *(f"{one}.*" for one in categories)]
    near = nearest(name, every)
    remedy = f"did you mean {near}?" if near else f"There are {', '.join(sorted(every))}."
    raise Invalid(f"name is {name[:100]!r}, which no event has; {remedy}")


def _meant(category: str, categories: Sequence[str]) -> str:
    near = nearest(category, categories)
    hint = f"did you mean {near}?" if near else f"There are {', '.join(categories)}."
    return f"streams are <category>/<id>, and {category[:40]!r} is not a category; {hint}"
