"""Filters of the event log."""

from __future__ import annotations

import pytest

from stack.domain.event_filter import EventFilter, event_filter
from stack.errors import Invalid

KNOWN = {
    "turn.started": ["turn.started.2", "turn.started.1"],
    "turn.completed": ["turn.completed.1"],
    "session.created": ["session.created.1"],
}


def test_names_are_those_of_all_versions() -> None:
    assert event_filter("", ["turn.started"], KNOWN).names == ("turn.started.2", "turn.started.1")
    assert set(event_filter("", ["turn.*"], KNOWN).names) == {
        "turn.started.1",
        "turn.started.2",
        "turn.completed.1",
    }
    assert event_filter("", ["turn.*", "turn.completed"], KNOWN).names.count("turn.completed.1") == 1
    assert event_filter("", [], KNOWN) == EventFilter()


def test_streams_and_categories() -> None:
    assert event_filter("turn", [], KNOWN) == EventFilter(category="turn")
    assert event_filter("session/a/b", [], KNOWN) == EventFilter(stream="session/a/b")


@pytest.mark.parametrize(
    ("stream", "name", "hint"),
    [
        ("", "turn.stared", "did you mean turn.started?"),
        ("", "turn.started.1", "did you mean turn.started?"),
        ("", "trun.*", "did you mean turn.*?"),
        ("", "*", "There are session.*, session.created"),
        ("", "turn", "did you mean turn.*?"),
        ("sessions", "turn.*", "did you mean session?"),
        ("sessions/x", "turn.*", "did you mean session?"),
        ("turn/", "turn.*", "give the id after the slash"),
        ("/x", "turn.*", "There are session, turn."),
    ],
)
def test_unknown_ones_are_refused_with_the_nearest(stream: str, name: str, hint: str) -> None:
    with pytest.raises(Invalid) as refused:
        event_filter(stream, [name], KNOWN)
    assert hint in refused.value.detail
