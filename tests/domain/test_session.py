"""Sessions: one open turn at a time."""

import pytest

from schemas.events.session import SessionCreated, SessionDeleted, SessionTurnClosed, SessionTurnOpened
from stack.domain.session import SessionState, create, evolve, existing, open_turn
from stack.errors import Conflict, Invalid, NotFound

CREATED = SessionCreated(agent_id="a", session_name="s")
OPENED = SessionTurnOpened(turn_id="t1")
CLOSED = SessionTurnClosed(turn_id="t1", status="completed")


def given(*events):
    state = SessionState()
    for version, event in enumerate(events, 1):
        state = evolve(state, event, version * 10, version)
    return state


def test_a_second_turn_waits_for_the_first():
    with pytest.raises(Conflict, match="'t1' of this session is still running"):
        open_turn(given(CREATED, OPENED), "t2")
    assert open_turn(given(CREATED, OPENED, CLOSED), "t2") == [SessionTurnOpened(turn_id="t2")]


def test_turns_keep_their_order():
    state = given(CREATED, OPENED, CLOSED, SessionTurnOpened(turn_id="t2"))
    assert state.turns == ("t1", "t2")
    assert state.open_turn == "t2"


@pytest.mark.parametrize("events", [(), (CREATED, SessionDeleted())])
def test_unknown_and_deleted_sessions_are_not_there(events):
    with pytest.raises(NotFound):
        existing(given(*events), "a", "s")


def test_a_session_belongs_to_its_agent():
    with pytest.raises(NotFound):
        existing(given(CREATED), "b", "s")


def test_a_session_needs_a_name():
    with pytest.raises(Invalid):
        create("a", "  ")
