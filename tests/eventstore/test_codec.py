"""Reading what older and newer versions wrote."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.events import REGISTRY
from schemas.events.base import Event, Redacted, Unknown
from schemas.events.session import SessionCreated
from schemas.upcasts import UPCASTS
from stack.errors import InternalError
from stack.eventstore.codec import REDACTED_STATE, Codec


class Greeted(Event, frozen=True, tag="test.greeted.3"):
    words: list[str]
    language: str


def _split(payload: dict[str, Any]) -> dict[str, Any]:
    return {**payload, "words": payload.pop("text").split()}


def _in_english(payload: dict[str, Any]) -> dict[str, Any]:
    return {**payload, "language": "en"}


UPCAST = Codec(
    {"test.greeted.3": Greeted},
    {"test.greeted.1": ("test.greeted.2", _split), "test.greeted.2": ("test.greeted.3", _in_english)},
)


def same(state: bytes) -> bytes:
    return state


def test_upcasts_chain() -> None:
    state = b'{"event":"test.greeted.1","actor":"me","text":"hello there"}'
    expected = Greeted(actor="me", words=["hello", "there"], language="en")
    assert UPCAST.decode("test.greeted.1", state, same) == expected
    name, lifted = UPCAST.lift("test.greeted.1", state)
    assert name == "test.greeted.3"
    assert UPCAST.decode(name, lifted, same) == expected
    assert UPCAST.encode(expected)[0] == "test.greeted.3"


def test_the_newest_version_is_not_touched() -> None:
    state = b'{"event":"test.greeted.3", "words":[], "language":"de"}'
    assert UPCAST.lift("test.greeted.3", state) == ("test.greeted.3", state)


def test_redacted_events_are_never_upcast() -> None:
    assert UPCAST.decode("test.greeted.1", REDACTED_STATE, same) == Redacted()
    assert UPCAST.lift("test.greeted.1", REDACTED_STATE) == ("test.greeted.3", REDACTED_STATE)
    assert Codec().encode(SessionCreated(agent_id="a", session_name="b"))[0] == "session.created.1"


def test_what_cannot_be_upcast_is_passed_on_to_a_follower_and_refused_to_a_reader() -> None:
    for state in (b'{"event":"test.greeted.1"}', b"rubbish", b"[]", b"\xff"):
        assert UPCAST.lift("test.greeted.1", state) == ("test.greeted.1", state)
        with pytest.raises(InternalError):
            UPCAST.decode("test.greeted.1", state, same)


def test_an_unknown_name_is_unknown() -> None:
    codec = Codec()
    for name, state in [("session.created.99", b'{"event":"session.created.99"}'), ("", b""), ("x", b"\xff")]:
        assert codec.decode(name, state, same) == Unknown()
        assert codec.lift(name, state) == (name, state)


def test_a_damaged_event_is_a_clear_error() -> None:
    with pytest.raises(InternalError, match=r"session\.created\.1"):
        Codec().decode("session.created.1", b'{"event":"session.created.1"}', same)


def test_only_registered_events_are_written() -> None:
    with pytest.raises(TypeError):
        Codec().encode(Greeted(words=[], language=""))
    with pytest.raises(TypeError):
        Codec().encode(Redacted())


def test_every_upcast_leads_to_a_registered_event() -> None:
    for name in UPCASTS:
        seen = set()
        while name in UPCASTS:
            assert name not in seen
            seen.add(name)
            name = UPCASTS[name][0]
        assert name in REGISTRY
