"""Trees of spans, against a plain walk over random links; cycles, self-parents and missing parents among them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.query.span_tree import Link, descendants

NAMES = "abcdefgh"
links = st.dictionaries(
    st.sampled_from(NAMES),
    st.tuples(st.sampled_from([*NAMES, "missing", None]), st.integers(0, 5)),
    min_size=1,
).map(lambda found: [Link(span, parent, start) for span, (parent, start) in found.items()])


def distance(found: list[Link[str]], span: str, tops: set[str]) -> int | None:
    """Steps from `span` up to the nearest of `tops`, counted from 1; None where none is above it."""
    parents = {link.span: link.parent for link in found}
    at: str | None = span
    for steps in range(1, len(found) + 2):
        if at in tops:
            return steps
        at = parents.get(at) if at is not None else None
    return None


@pytest.mark.slow
@given(links, st.lists(st.sampled_from(NAMES), min_size=1), st.one_of(st.none(), st.integers(1, 9)))
def test_it_is_what_a_walk_upwards_finds(found: list[Link[str]], tops: list[str], depth: int | None) -> None:
    there = {link.span for link in found}
    tree = descendants(found, tops, depth, 100)
    assert tree.complete
    expected = dict.fromkeys(tops, 1)
    for span in there:
        steps = distance(found, span, set(tops))
        if steps is not None and (depth is None or steps <= depth):
            expected[span] = steps
    assert tree.levels == expected


@pytest.mark.slow
@given(links, st.lists(st.sampled_from(NAMES), min_size=1, unique=True), st.integers(1, 9))
def test_it_is_cut_from_below(found: list[Link[str]], tops: list[str], most: int) -> None:
    whole = descendants(found, tops, None, 100)
    cut = descendants(found, tops, None, most)
    assert list(cut.levels.items()) == list(whole.levels.items())[:most]
    assert cut.complete == (len(whole.levels) <= most)
    assert list(whole.levels.values()) == sorted(whole.levels.values())


def test_children_come_in_the_order_of_time() -> None:
    found = [Link("a", None, 0), Link("c", "a", 2), Link("b", "a", 1), Link("d", "c", 1)]
    assert descendants(found, ["a"], None, 10).levels == {"a": 1, "b": 2, "c": 2, "d": 3}
    assert list(descendants(found, ["a"], None, 10).levels) == ["a", "b", "c", "d"]


@pytest.mark.slow
def test_a_long_chain_and_a_large_circle() -> None:
    chain = [Link(number, number - 1 if number else None, number) for number in range(100_000)]
    assert max(descendants(chain, [0], None, 200_000).levels.values()) == 100_000
    circle = [Link(number, (number - 1) % 100_000, number) for number in range(100_000)]
    assert len(descendants(circle, [5], None, 200_000).levels) == 100_000
    assert len(descendants(circle, [5], 3, 200_000).levels) == 3
