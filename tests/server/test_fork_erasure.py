"""Shared turns are erased with the last session that refers to it, from all files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.server.api import Api, Conversation, check_error
from tests.server.conftest import FreshServer
from tests.server.test_erasure import CAPTURING, LONG, Canaries, done, found_in, read_all
from tests.server.test_fork import fork, turn_ids

pytestmark = [pytest.mark.slow, pytest.mark.long]


def test_shared_content_leaves_all_files_with_the_last_session(
    fresh_server: FreshServer, tmp_path: Path
) -> None:
    server = fresh_server(environment=CAPTURING)
    shared, own, forked = Canaries("shared"), Canaries("own"), Canaries("forked")
    with server.http() as http:
        api = Api(http)
        parent = api.conversation()
        turn = parent.turn(shared("message") + LONG)
        # Its own agent, because the messages that are captured on spans contain the whole conversation.
        other = fork(parent, agent_id=api.create_agent())
        parent.turn(own("message") + LONG)
        read_all(http)
        http.delete(parent.path).raise_for_status()
        receipt = done(http, parent.session_id)
        assert receipt["erased"]["turns"] == 1 and receipt["erased"]["spans"] >= 1
        assert "1 turns" in receipt["remains"][0]["what"]
        assert found_in(server.data, own.made, tmp_path) == {}
        left = found_in(server.data, shared.made, tmp_path)[shared.made[0]]
        assert any(name.startswith("telemetry/") for name in left), left
        assert any(name.startswith("blobs/") for name in left), left
        assert other.get(turn["turn_id"]).json() == turn
        other.turn(forked("message"))
    server.restart()
    with server.http() as http:
        api = Api(http)
        other = Conversation(api, other.agent_id, other.session_id)
        last = fork(other, turn_id=turn["turn_id"])
        http.delete(other.path).raise_for_status()
        done(http, other.session_id)
        assert found_in(server.data, forked.made, tmp_path) == {}
        assert turn_ids(last) == [turn["turn_id"]]
        assert last.get(turn["turn_id"]).json() == turn
        http.delete(last.path).raise_for_status()
        receipt = done(http, last.session_id)
        assert receipt["erased"]["turns"] == 1 and receipt["erased"]["spans"] >= 1
        assert found_in(server.data, shared.made, tmp_path) == {}
        for id in (parent.session_id, other.session_id):
            assert "turns" not in done(http, id)["remains"][0]["what"]
        check_error(last.get(turn["turn_id"]), 404)
    assert '"level":"error"' not in server.log


def test_what_a_deleted_agent_says_leaves_all_files_although_its_turn_stays(
    fresh_server: FreshServer, tmp_path: Path
) -> None:
    """The instructions of an agent are in the messages that are captured on spans."""
    server = fresh_server(environment=CAPTURING)
    gone = Canaries("instructions")
    with server.http() as http:
        api = Api(http)
        parent = api.conversation(instructions=gone("instructions"))
        turn = parent.turn("kept")
        other = fork(parent, agent_id=api.create_agent())
        read_all(http)
        http.delete(f"/v1alpha/agents/{parent.agent_id}").raise_for_status()
        done(http, parent.agent_id)
        assert found_in(server.data, gone.made, tmp_path) == {}
        assert other.get(turn["turn_id"]).json() == turn
        server.check_healthy()
