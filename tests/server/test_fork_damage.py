"""Forks whose events are damaged, or those of their parents: what is shared is not lost, and what is unknown is said."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.server.api import Api, Conversation, check_error
from tests.server.conftest import FreshServer
from tests.server.test_damaged_events import again, damage, forget_views
from tests.server.test_fork import fork, turn_ids
from tests.server.test_fork_mid_turn import events_of

pytestmark = pytest.mark.slow

KINDS = ("turn.started", "turn.completed", "session.fork_added", "session.forked", "session.turn_opened")


def in_log(data: Path, text: str) -> bool:
    with closing(sqlite3.connect(data / "events.sqlite")) as log:
        found = log.execute("SELECT 1 FROM events WHERE instr(CAST(state AS TEXT), ?)", (text,)).fetchone()
    return found is not None


@pytest.mark.parametrize("rebuild", [False, True])
def test_damage_in_a_family(fresh_server: FreshServer, rebuild: bool) -> None:
    server = fresh_server()
    made: dict[str, tuple[Conversation, Conversation, str]] = {}
    with server.http() as http:
        api = Api(http)
        for kind in KINDS:
            parent = api.conversation()
            turn_id = parent.turn(f"shared {kind}!")["turn_id"]
            made[kind] = parent, fork(parent), turn_id
            assert turn_ids(made[kind][1]) == [turn_id]
    server.kill9()
    for kind, (parent, other, turn_id) in made.items():
        owner = other if kind == "session.forked" else parent
        of_turn = kind.startswith("turn.")
        damage(server, kind, f"turn/{turn_id}" if of_turn else f"session/{owner.session_id}")
    if rebuild:
        forget_views(server.data)
    server.start()
    with server.http() as http:
        for kind, (parent, other, turn_id) in made.items():
            parent, other = again(http, parent), again(http, other)
            is_lost = rebuild and kind == "session.forked"
            if is_lost:
                check_error(http.get(other.path), 500, "not known whose")
            else:
                assert turn_ids(other) == [turn_id], kind
                assert other.get(turn_id).status_code == 200, kind
                if kind == "turn.started":
                    # A turn is copied whole or not at all; by reference it is shared as it is.
                    at = events_of(http, turn_id)[1]["position"]
                    check_error(http.post(f"{other.path}/fork", json={"event": at}), 500, "copied")
                    assert turn_ids(fork(other)) == [turn_id]
                    continue
            assert http.delete(parent.path).status_code == 200, kind
            if kind != "turn.started":
                assert in_log(server.data, f"shared {kind}!") and (
                    is_lost or other.get(turn_id).status_code == 200
                )
            if not is_lost:
                assert http.delete(other.path).status_code == 200, kind
                assert not in_log(server.data, f"shared {kind}!"), kind


def test_a_failed_and_an_abandoned_turn_are_shared(fresh_server: FreshServer) -> None:
    server = fresh_server()
    with server.http() as http:
        api = Api(http)
        parent = api.conversation("scripted/cut;chunks=3;times=1")
        assert parent.post("Fail.").status_code == 502
        failed = parent.only_turn_id()
        other = fork(parent)
        assert other.outcome(failed) == parent.outcome(failed)
        assert other.outcome(failed)["status"] == "failed"
        assert other.replay(failed).content == parent.replay(failed).content
        # Before it failed: the copy is cancelled, and the session continues.
        for event in events_of(http, failed)[:-1]:
            middle = fork(parent, event=event["position"])
            assert middle.outcome(middle.only_turn_id())["status"] == "cancelled"
            middle.turn("Once more.")
        other.turn("Once more.")
