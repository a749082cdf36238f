"""Arranges the spans of a trace as a tree: the order of the lines, and the drawing before each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

DEEP = "└┈ "
"""Drawn before a span that is too deep for its level to be shown."""

Span = Mapping[str, Any]


class Line(NamedTuple):
    """One span. `guides` is the drawing before its name; `note` explains an unusual place."""

    span: Span
    level: int
    guides: str
    note: str


def laid_out(spans: Sequence[Span], max_levels: int) -> list[Line]:
    """Returns each span once, under its parent, in the order of time. Spans without a parent in the trace are
    at the top; of spans in a cycle the earliest is. Spans deeper than `max_levels` are drawn at one level."""
    by_id = {span["span_id"]: span for span in spans}
    children: defaultdict[str, list[Span]] = defaultdict(list)
    tops: list[tuple[Span, str]] = []
    for span in sorted(by_id.values(), key=_start):
        parent = span.get("parent_span_id")
        if parent is not None and parent in by_id and parent != span["span_id"]:
            children[parent].append(span)
        else:
            tops.append((span, _note(span)))
    placed: dict[str, Line] = {}
    for span, note in tops:
        _place(span, note, children, placed, max_levels)
    for span in sorted(by_id.values(), key=_start):
        if span["span_id"] not in placed:
            _place(span, "parents in a circle", children, placed, max_levels)
    return list(placed.values())


def _note(span: Span) -> str:
    parent = span.get("parent_span_id")
    if not parent:
        return ""
    return "its own parent" if parent == span["span_id"] else "parent is not here"


def _place(
    top: Span, note: str, children: Mapping[str, list[Span]], placed: dict[str, Line], max_levels: int
) -> None:
    # (span, its level, the drawing of the levels above it, whether it is the last of its parent, note)
    waiting = [(top, 0, "", True, note)]
    while waiting:
        span, level, above, last, note = waiting.pop()
        if span["span_id"] in placed:
            continue
        drawn = level <= max_levels
        branch = "" if not level else ("└─ " if last else "├─ ") if drawn else DEEP
        placed[span["span_id"]] = Line(span, level, above + branch, note)
        own = [child for child in children.get(span["span_id"], ()) if child["span_id"] not in placed]
        below = above + ("" if not level or level >= max_levels else "   " if last else "│  ")
        for number, child in enumerate(reversed(own)):
            waiting.append((child, level + 1, below, number == 0, ""))


def _start(span: Span) -> tuple[str, str]:
    return span["start_time"], span["span_id"]
