"""Finds the descendants of spans, for any parents: cycles, spans that are their own parents, missing parents.
A recursive query over such spans would not terminate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)


class Link(NamedTuple, Generic[K]):
    """A span and its parent; keys are any unique ids. `start_ns` orders the children of one parent."""

    span: K
    parent: K | None
    start_ns: int


class Descendants(NamedTuple, Generic[K]):
    """Spans with their level: 1 for the requested ones. `complete` is false if there were more than
    allowed."""

    levels: dict[K, int]
    complete: bool


def descendants(
    links: Iterable[Link[K]], tops: Sequence[K], max_depth: int | None, max_spans: int
) -> Descendants[K]:
    """Returns the spans `tops` and their descendants, level by level, each span once, at most `max_spans` of
    them.

    `max_depth` 1 means `tops` alone, None means everything. `tops` are included whether or not `links`
    contains them. If one of them is a descendant of another, its own descendants are counted from the nearer
    one.
    """
    levels = dict.fromkeys(tops[:max_spans], 1)
    complete = len(set(tops)) <= max_spans
    if max_depth == 1:
        return Descendants(levels, complete)
    children: defaultdict[K, list[Link[K]]] = defaultdict(list)
    for link in links:
        if link.parent is not None:
            children[link.parent].append(link)
    level, above = 1, list(levels)
    while above and (max_depth is None or level < max_depth):
        level += 1
        below: list[K] = []
        for parent in above:
            for child in sorted(children.get(parent, ()), key=lambda link: link.start_ns):
                if child.span in levels:
                    continue
                if len(levels) == max_spans:
                    return Descendants(levels, False)
                levels[child.span] = level
                below.append(child.span)
        above = below
    return Descendants(levels, complete)
