"""Cached values are bounded, and computed again after they were removed."""

from __future__ import annotations

import pytest

from telemetry.wire import attribute_json
from telemetry.wire.attribute_json import MAX_KNOWN_BYTES, Attributes
from telemetry.wire.promoted import Promoted
from telemetry.wire.remembered import Remembered
from tests.telemetry.otlp_requests import key_values


def test_what_was_asked_for_is_made_once() -> None:
    made: list[bytes] = []

    def make(key: bytes) -> int:
        made.append(key)
        return len(key)

    known = Remembered(make, len, 1 << 20)
    assert [known[b"a"], known[b"bb"], known[b"a"]] == [1, 2, 1]
    assert made == [b"a", b"bb"]


@pytest.mark.slow
def test_all_is_forgotten_when_it_is_too_much_and_the_large_is_never_kept() -> None:
    known = Remembered(lambda key: key, len, 1 << 20)
    for number in range(20_000):
        key = b"%d" % number + bytes(number % 2000)
        assert known[key] == key
        assert sum(map(len, known)) <= 1 << 20
        assert len(known) <= (1 << 20) // 300
    assert known
    large = bytes(1 << 12)
    assert known[large] == large
    assert large not in known


def test_sets_of_a_thousand_keys_do_not_fill_the_memory() -> None:
    promoted = Promoted()
    for number in range(500):
        keys = tuple(b'"key %d %d"' % (number, index) for index in range(1000))
        assert promoted[("current", *keys)] == ()
        assert promoted[("current", b'"turn_id"', *keys[:100])][0][:2] == ("turn_id", b'"turn_id"')
    assert sum(len(key) for keys in promoted for key in keys) < 4 << 20


def test_attributes_without_end_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The texts of control characters are six times as long in JSON."""
    monkeypatch.setattr(attribute_json, "MAX_KNOWN", 100)
    attributes = Attributes()
    for number in range(1000):
        values = {f"key {number}": "\0" * (number % 100), f"long {number}": "x" * 200}
        attributes.fragments([one.SerializeToString() for one in key_values(values)])
        assert len(attributes) <= 100
        assert all(len(fragment) <= MAX_KNOWN_BYTES for _, fragment in attributes.values())
    assert attributes
