"""Faults around a server: a full disk, a second server, lost files, a stop in the middle of a turn."""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import httpx
import pytest

from tests.server.api import ANSWER, TEXT, Api, Conversation, check_error, kinds, parse
from tests.server.conftest import FreshServer
from tests.server.process import DidNotStart, Replaystack, wait_until
from tests.servers.processes import RunningServer

pytestmark = [pytest.mark.slow, pytest.mark.long]


@contextmanager
def full_disk(server: Replaystack, file: str = "events.sqlite-wal") -> Iterator[None]:
    """No file of the server can grow beyond what `file` has now: the log, unless another is named."""
    size = (server.data / file).stat().st_size
    limits = resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, limits)


def again(client: httpx.Client, conversation: Conversation) -> Conversation:
    """The same session through another client."""
    return Conversation(Api(client), conversation.agent_id, conversation.session_id)


def event_names(server: Replaystack, stream: str) -> list[str]:
    """Names of the events of a stream, read from the log's file."""
    path = f"file:{server.data / 'events.sqlite'}?mode=ro"
    with closing(sqlite3.connect(path, uri=True)) as log:
        rows = log.execute(
            "SELECT name FROM events WHERE stream = ? ORDER BY version", (f"default/{stream}",)
        )
        return [name for (name,) in rows]


def test_a_full_disk_refuses_and_recovers(fresh_server: FreshServer) -> None:
    server = fresh_server()
    with server.http() as client:
        api = Api(client)
        conversation = api.conversation()
        turn = conversation.turn()
        key = {"idempotency-key": "refused at first"}
        with full_disk(server):
            body = {"agent_config": {"model": TEXT, "instructions": "x" * 100_000}}
            for _ in range(3):
                refused = client.post("/v1alpha/agents", json=body)
                check_error(refused, 503, "nothing was stored")
                check_error(conversation.post("y" * 50_000), 503)
                check_error(conversation.post("y" * 50_000, stream=True), 503)
            check_error(client.delete(conversation.path), 503)
            check_error(conversation.post("z" * 50_000, headers=key), 503)
            assert conversation.get(turn["turn_id"]).json() == turn
            assert len(api.agents().json()["data"]) == 1
            assert len(conversation.show()["turns"]) == 1
        created = api.create_agent(instructions="x" * 100_000)
        assert conversation.turn("y" * 50_000)["output_message"]["content"] == ANSWER
        assert conversation.post("z" * 50_000, headers=key).status_code == 200, (
            "a refusal of 503 is not final"
        )
        assert [agent["agent_id"] for agent in api.agents().json()["data"]] == [
            conversation.agent_id,
            created,
        ]
        assert len(conversation.show()["turns"]) == 3
    server.check_healthy()
    server.restart()
    with server.http() as client:
        assert len(again(client, conversation).show()["turns"]) == 3
    server.check_healthy()


def test_no_room_for_the_views(fresh_server: FreshServer) -> None:
    """The log still takes events. They are no bad events because the views cannot take them: they come later."""
    server = fresh_server(view_linger_ms=0)
    with server.http() as client:
        api = Api(client)
        log, views = server.data / "events.sqlite-wal", server.data / "views.duckdb.wal"
        ids = [api.create_agent(instructions="x" * 8_000) for _ in range(40)]
        gone = api.conversation()
        assert client.delete(gone.path).status_code == 200
        assert len(api.agents().json()["data"]) == len(ids) + 1
        wait_until(lambda: log.stat().st_size < views.stat().st_size / 4)
        with full_disk(server, views.name):
            ids += [api.create_agent(name=f"late {number}") for number in range(5)]
            for _ in range(5):
                answer = api.agents()
                if answer.status_code == 503:
                    check_error(answer, 503, "read models")
            wait_until(lambda: "The file of the views failed" in server.log)
        wait_until(lambda: api.agents().status_code == 200)
        assert {agent["agent_id"] for agent in api.agents().json()["data"]} == {*ids, gone.agent_id}
    server.check_healthy()


def test_a_running_turn_waits_for_room_on_the_disk(
    fresh_server: FreshServer, scripted: RunningServer
) -> None:
    server = fresh_server(keep_alive_s=0.1)
    with server.http() as client:
        api = Api(client)
        conversation = api.conversation("scripted/text;chunks=4;gap_ms=150")
        with conversation.streaming() as stream:
            turn_id = stream.until("turn_start").payload["turn_id"]
            stream.until("step_progress")
            with full_disk(server):
                while b": \n" not in stream.raw[-8:]:
                    stream.read_on()
                wait_until(lambda: "could not be written" in server.log)
                assert conversation.outcome(turn_id)["status"] == "running"
            frames = parse(stream.rest())
        assert frames[-1].kind == "turn_complete"
        assert conversation.get(turn_id).json() == frames[-1].payload["turn"]
        names = event_names(server, f"turn/{turn_id}")
        assert names == [
            "turn.started.1", "turn.step_started.1", "turn.step_completed.1", "turn.completed.1",
        ]  # fmt: skip
        assert scripted.counts()["requests"] == 1
        conversation.turn("and on")
    server.check_healthy()


def test_two_servers_on_one_folder(fresh_server: FreshServer) -> None:
    server = fresh_server()
    with pytest.raises(DidNotStart) as second:
        fresh_server()
    assert second.value.exit_code not in (0, None)
    assert str(server.data) in second.value.log and str(server.pid) in second.value.log
    assert "Traceback" not in second.value.log
    with server.http() as client:
        Api(client).conversation().turn()
    server.check_healthy()


@pytest.mark.parametrize("damage", ["deleted", "no database", "torn", "emptied"])
def test_lost_views_are_built_again_at_start(fresh_server: FreshServer, damage: str) -> None:
    server = fresh_server()
    with server.http() as client:
        conversation = Api(client).conversation()
        turn = conversation.turn()
        agents = client.get("/v1alpha/agents").content
    if damage == "no database":
        server.kill9()
    else:
        server.stop()
    views = server.data / "views.duckdb"
    for wal in server.data.glob("views.duckdb*wal*"):
        wal.unlink()
    match damage:
        case "deleted":
            views.unlink()
        case "no database":
            views.write_bytes(b"This was a database once." * 1000)
        case "torn":
            content = bytearray(views.read_bytes())
            content[4096:] = os.urandom(len(content) - 4096)
            views.write_bytes(content)
        case "emptied":
            views.write_bytes(b"")
    server.start()
    with server.http() as client:
        wait_until(lambda: client.get("/v1alpha/agents").status_code == 200)
        assert client.get("/v1alpha/agents").content == agents
        found = again(client, conversation)
        assert found.get(turn["turn_id"]).json() == turn
        assert found.turn("and now")["completed_at"]
    server.check_healthy()


def test_a_stop_lets_a_turn_finish(fresh_server: FreshServer, scripted: RunningServer) -> None:
    """SIGTERM in the middle of a stream: within the grace its client gets all of it; nothing new begins."""
    server = fresh_server(shutdown_grace_s=5)
    with server.http() as client:
        conversation = Api(client).conversation("scripted/text;chunks=8;gap_ms=100")
        other = Api(client).conversation()
        with conversation.streaming() as stream:
            turn_id = stream.until("turn_start").payload["turn_id"]
            stream.until("step_progress")
            server.terminate()
            refused = wait_until(lambda: _refusal(other))
            assert refused in ("503", "ConnectError")
            frames = parse(stream.rest())
        assert kinds(frames)[-1] == "turn_complete"
    assert server.wait() == 0
    server.start()
    with server.http() as client:
        assert again(client, conversation).get(turn_id).json() == frames[-1].payload["turn"]
    assert scripted.counts()["by_model"]["text;chunks=8;gap_ms=100"] == 1


def _refusal(conversation: Conversation) -> str:
    """How a server that is about to end refuses a new turn; empty while it does not."""
    try:
        answer = conversation.post()
    except httpx.TransportError as error:
        return type(error).__name__
    return "" if answer.status_code == 200 else str(answer.status_code)


def test_a_stop_parks_what_takes_too_long(fresh_server: FreshServer, scripted: RunningServer) -> None:
    """The next start continues it from its last finished step, and its followers see all of it."""
    server = fresh_server(shutdown_grace_s=0.3)
    model = "scripted/stall;chunks=2;times=1"
    statuses: list[int] = []
    with server.http() as client, server.http() as waiting:
        conversation = Api(client).conversation(model)
        whole = Api(client).conversation(model + ";other=1")
        thread = threading.Thread(target=lambda: statuses.append(again(waiting, whole).post().status_code))
        thread.start()
        with conversation.streaming() as stream:
            turn_id = stream.until("turn_start").payload["turn_id"]
            stream.until("step_progress")
            wait_until(lambda: scripted.counts()["requests"] == 2)
            server.terminate()
            seen = parse(stream.rest())
        assert server.wait() == 0
        thread.join(10)
    assert seen[-1].kind == "step_progress", "no word about an end that has not come"
    assert statuses == [503]
    assert event_names(server, f"turn/{turn_id}") == ["turn.started.1", "turn.step_started.1"]

    server.start()
    with server.http() as client:
        found = again(client, conversation)
        rest = parse(found.replay(turn_id, {"last-event-id": seen[-1].id}).content)
        assert kinds(rest) == ["step_start", "step_progress", "step_complete", "turn_complete"]
        [step] = rest[-1].payload["turn"]["steps"]
        first_step = next(frame for frame in seen if frame.kind == "step_start").payload["step_id"]
        assert step["step_id"] != first_step
        assert found.get(turn_id).json() == rest[-1].payload["turn"]
        later = again(client, whole)
        wait_until(lambda: later.show()["turns"][0].get("completed_at"))
        assert later.turn("and on")["output_message"]["content"] == ANSWER
    names = event_names(server, f"turn/{turn_id}")
    assert names[2:] == [
        "turn.restarted.1", "turn.step_started.1", "turn.step_completed.1", "turn.completed.1",
    ]  # fmt: skip
    server.check_healthy()


def test_a_turn_is_restarted_so_often_and_no_more(fresh_server: FreshServer, scripted: RunningServer) -> None:
    """A turn that brings its server down each time must not do so for ever."""
    server = fresh_server(restart_limit=2)
    with server.http() as client:
        conversation = Api(client).conversation("scripted/stall;chunks=1")
        with conversation.streaming() as stream:
            turn_id = stream.until("turn_start").payload["turn_id"]
            stream.until("step_progress")
            server.kill9()
    for attempt in (2, 3):
        server.start()
        _wait_for_requests(scripted, attempt)
        server.kill9()
    server.start()
    with server.http() as client:
        found = again(client, conversation)
        ended: dict[str, Any] = wait_until(
            lambda: (turn := found.get(turn_id).json()).get("completed_at") and turn
        )
        assert ended["output_message"]["stop_reason"] == "end_of_turn"
        outcome = found.outcome(turn_id)
        assert outcome["status"] == "failed"
        assert "interrupted" in outcome["error"]["detail"]
        frames = parse(found.replay(turn_id).content)
        assert frames[0].kind == "turn_start" and frames[-1].kind == "error"
        assert "interrupted" in frames[-1].value["error"]["message"]
        with found.streaming("the session is not wedged") as stream:
            stream.until("step_progress")
            assert found.cancel(_open_turn(found)).status_code == 200
    assert event_names(server, f"turn/{turn_id}").count("turn.restarted.1") == 2
    assert scripted.counts()["requests"] == 4
    server.check_healthy()


def _wait_for_requests(scripted: RunningServer, count: int) -> None:
    wait_until(lambda: scripted.counts()["requests"] == count)


def _open_turn(conversation: Conversation) -> str:
    [turn] = [turn for turn in conversation.show()["turns"] if "completed_at" not in turn]
    return str(turn["turn_id"])


def test_an_old_turn_is_not_restarted(fresh_server: FreshServer, scripted: RunningServer) -> None:
    server = fresh_server()
    with server.http() as client:
        conversation = Api(client).conversation("scripted/stall;chunks=1")
        with conversation.streaming() as stream:
            turn_id = stream.until("turn_start").payload["turn_id"]
            stream.until("step_progress")
            server.kill9()
    server.start(restart_max_age_h=0.00001)
    with server.http() as client:
        found = again(client, conversation)
        outcome = wait_until(lambda: (one := found.outcome(turn_id))["status"] != "running" and one)
        assert outcome["status"] == "failed" and "interrupted" in outcome["error"]["detail"]
    assert scripted.counts()["requests"] == 1
    server.check_healthy()


def test_a_turn_of_a_provider_that_is_gone_is_closed(fresh_server: FreshServer) -> None:
    """Killed in the middle of a turn, started again without that provider: the turn fails, nothing is wedged."""
    server = fresh_server()
    with server.http() as client:
        conversation = Api(client).conversation("scripted/stall;chunks=1")
        with conversation.streaming() as stream:
            turn_id = stream.until("turn_start").payload["turn_id"]
            stream.until("step_progress")
            server.kill9()
    other = Replaystack(server.data)
    with other, other.http() as client:
        found = again(client, conversation)
        outcome = wait_until(lambda: (one := found.outcome(turn_id))["status"] != "running" and one)
        assert outcome["status"] == "failed"
        check_error(found.post(), 400, "scripted")
        other.check_healthy()


def test_a_deletion_broken_off_is_finished(fresh_server: FreshServer) -> None:
    """The agent is gone from the first moment; what a kill left of it goes at the next start."""
    server = fresh_server()
    said = "marker-of-what-was-said"
    with server.http() as client:
        api = Api(client)
        conversation = api.conversation()
        for _ in range(30):
            again(
                client, Conversation(api, conversation.agent_id, api.create_session(conversation.agent_id))
            ).turn(said)
        killer = threading.Timer(0.05, server.kill9)
        killer.start()
        with suppress(httpx.TransportError):
            client.delete(f"/v1alpha/agents/{conversation.agent_id}")
        killer.join()
    server.start()
    with server.http() as client:
        agents = client.get("/v1alpha/agents").json()["data"]
        if not agents:
            wait_until(lambda: not _holds(server, said))
            check_error(client.get(conversation.path), 404)
    server.check_healthy()


def _holds(server: Replaystack, word: str) -> bool:
    return any(word.encode() in file.read_bytes() for file in server.data.glob("events.sqlite*"))


def test_a_server_that_was_killed_leaves_no_claim(fresh_server: FreshServer) -> None:
    server = fresh_server()
    server.kill9()
    announced = json.loads((server.data / "server.json").read_bytes())
    server.start()
    assert json.loads((server.data / "server.json").read_bytes())["pid"] == server.pid != announced["pid"]
    assert server.stop() == 0
    assert not (server.data / "server.json").exists()


def test_a_turn_is_not_lost_when_its_answer_is(fresh_server: FreshServer, scripted: RunningServer) -> None:
    """Killed right after the end of a turn: it ended, whether its client heard of it or not."""
    server = fresh_server()
    with server.http() as client:
        conversation = Api(client).conversation()
        with conversation.streaming() as stream:
            complete = stream.until("turn_complete").payload["turn"]
            server.kill9()
    server.start()
    with server.http() as client:
        assert again(client, conversation).get(complete["turn_id"]).json() == complete
    assert scripted.counts()["requests"] == 1


def test_settings_that_make_no_sense(fresh_server: FreshServer) -> None:
    for settings, environment in (
        ({"keep_alive_s": 0}, {}),
        ({"host": "0.0.0.0"}, {}),
        ({}, {"REPLAYSTACK_NO_SUCH_SETTING": "1"}),
    ):
        with pytest.raises(DidNotStart) as refused:
            fresh_server(environment=environment, **settings)
        assert refused.value.exit_code not in (0, None)
        assert "Traceback" not in refused.value.log
