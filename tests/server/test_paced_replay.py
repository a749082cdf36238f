"""A replay at a pace keeps its connection alive, and ends when its reader leaves."""

from __future__ import annotations

import pytest

from tests.server.api import Api, Conversation
from tests.server.conftest import FreshServer

SLOW = "scripted/text;chunks=3;gap_ms=100"


@pytest.mark.slow
def test_a_pause_between_frames_is_kept_alive(fresh_server: FreshServer) -> None:
    server = fresh_server(keep_alive_s=0.1)
    with server.http() as http:
        conversation = Api(http).conversation(SLOW)
        turn_id = conversation.turn()["turn_id"]
        replay = conversation.replay(turn_id, query="?speed=0.25")
        assert replay.content.count(b"\n: \n") >= 2
        assert replay.content.replace(b": \n", b"") == conversation.replay(turn_id).content


@pytest.mark.slow
def test_one_whose_reader_has_left_holds_up_nothing(fresh_server: FreshServer) -> None:
    """At this pace the replay would take longer than the server waits for its connections at its end."""
    server = fresh_server()
    with server.http() as http:
        conversation = Api(http).conversation(SLOW)
        turn_id = conversation.turn()["turn_id"]
        with conversation.following(turn_id, query="?speed=0.01") as stream:
            assert next(iter(stream)).kind == "turn_start"
    assert server.stop() == 0
    assert '"level":"error"' not in server.log, server.log


@pytest.mark.parametrize("speed", ["0.009", "1e-320", "-0.5"])
def test_a_pace_that_never_ends_is_refused(conversation: Conversation, speed: str) -> None:
    answer = conversation.replay(conversation.turn()["turn_id"], query=f"?speed={speed}")
    assert answer.status_code == 400
    assert "0.01 or more" in answer.json()["detail"]
