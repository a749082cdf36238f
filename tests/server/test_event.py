"""The event log over HTTP: pages, filters, and a stream that nothing is lost from or doubled in."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server.api import TIME, Api, Conversation, check_error
from tests.server.conftest import FreshServer
from tests.server.process import Replaystack, wait_until
from tests.server.test_damaged_events import damage

EVENTS = "/v1alpha/events"


@pytest.fixture(scope="module")
def log_server(tmp_path_factory: pytest.TempPathFactory, scripted_server: Any) -> Iterator[Replaystack]:
    """A server whose log only these tests write."""
    data = tmp_path_factory.mktemp("log") / "data"
    settings = {"keep_alive_s": 0.2, "max_page_bytes": 20_000}
    with Replaystack(data, model_url=scripted_server.base_url, settings=settings) as server:
        yield server
        server.check_healthy()


@pytest.fixture
def api(log_server: Replaystack) -> Iterator[Api]:
    with log_server.http() as http:
        yield Api(http)


def page(http: httpx.Client, **query: Any) -> dict[str, Any]:
    answer = http.get(EVENTS, params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def every(http: httpx.Client, after: int = 0, **query: Any) -> list[dict[str, Any]]:
    """All events after a position, a page at a time."""
    found: list[dict[str, Any]] = []
    while True:
        part = page(http, after=after, **query)
        assert part["next"] > after or not part["has_more"]
        found += part["data"]
        after = part["next"]
        if not part["has_more"]:
            assert after == part["head"]
            return found


def in_file(data: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{data / 'events.sqlite'}?mode=ro", uri=True)) as log:
        return log.execute(
            "SELECT position, stream, version, name, state FROM events ORDER BY position"
        ).fetchall()


class Followed:
    """Events that a follower gets, until it is told to stop."""

    def __init__(self, http: httpx.Client, headers: dict[str, str] | None = None, **query: Any) -> None:
        self._opened = http.stream("GET", EVENTS, params={"follow": "true", **query}, headers=headers)

    def __enter__(self) -> Iterator[dict[str, Any]]:
        answer = self._opened.__enter__()
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        return self._events(answer)

    def __exit__(self, *error: Any) -> None:
        self._opened.__exit__(*error)

    @staticmethod
    def _events(answer: httpx.Response) -> Iterator[dict[str, Any]]:
        lines = answer.iter_lines()
        for line in lines:
            if line == ": ":
                continue
            assert line.startswith("id: "), line
            data, blank = next(lines), next(lines)
            assert data.startswith("data: ") and blank == ""
            event = json.loads(data[6:])
            assert str(event["position"]) == line[4:]
            yield event


def test_pages_have_the_whole_log(api: Api, log_server: Replaystack) -> None:
    conversation = api.conversation()
    turn = conversation.turn()
    found = every(api.http)
    stored = in_file(log_server.data)
    assert len(found) == len(stored)
    for event, (position, stream, version, name, state) in zip(found, stored, strict=True):
        content = json.loads(state)
        assert content.pop("event") == name
        assert (event["position"], f"default/{event['stream']}", event["version"]) == (
            position,
            stream,
            version,
        )
        assert f"{event['name']}.1" == name and event["event"] == content
        assert TIME.fullmatch(event["recorded_at"])
        assert set(event) == {"position", "stream", "version", "name", "recorded_at", "event"}
    own = [event for event in found if event["stream"] == f"turn/{turn['turn_id']}"]
    assert own[0]["name"] == "turn.started" and own[-1]["name"] == "turn.completed"


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_limits(api: Api, limit: int) -> None:
    api.conversation().turn()
    whole = every(api.http)
    assert every(api.http, limit=limit) == whole
    head = whole[-1]["position"]
    last = page(api.http, after=head - limit, limit=limit)
    assert last["data"] == whole[-limit:] and last["has_more"] is False and last["next"] == head
    more = page(api.http, after=head - limit - 1, limit=limit)
    assert more["has_more"] is True and more["next"] == head - 1
    assert page(api.http, after=head) == {"data": [], "next": head, "has_more": False, "head": head}
    assert page(api.http, after="end")["next"] == head


def test_pages_are_bounded_by_bytes(api: Api) -> None:
    after = page(api.http, after="end")["next"]
    for length in (100, 9_000, 9_000, 50_000, 100):
        api.create_agent(instructions="a" * length)
    counts = []
    more = True
    while more:
        answer = api.http.get(EVENTS, params={"after": after})
        part = answer.json()
        assert len(part["data"]) == 1 or len(answer.content) < 21_000
        counts.append(len(part["data"]))
        after, more = part["next"], part["has_more"]
    assert counts == [3, 1, 1]


def test_filters(api: Api) -> None:
    before = page(api.http, after="end")["next"]
    conversation = api.conversation()
    turn_id = conversation.turn()["turn_id"]
    whole = every(api.http, before)

    def names(**query: Any) -> list[str]:
        return [event["name"] for event in every(api.http, before, **query)]

    assert names(name="turn.completed") == ["turn.completed"]
    assert names(name="session.*") == ["session.created", "session.turn_opened", "session.turn_closed"]
    assert names(name=["agent.created", "turn.started"]) == ["agent.created", "turn.started"]
    assert names(name="agent.created,turn.started", limit=1) == ["agent.created", "turn.started"]
    assert every(api.http, before, stream="turn") == [
        one for one in whole if one["stream"].startswith("turn/")
    ]
    own = [one for one in whole if one["stream"] == f"turn/{turn_id}"]
    assert every(api.http, before, stream=f"turn/{turn_id}", limit=1) == own
    assert names(stream=f"session/{conversation.session_id}", name="turn.*") == []
    assert names(stream=f"turn/{turn_id}", name="turn.completed") == ["turn.completed"]
    assert names(stream="turn/nothing") == [] and names(stream="dataset") == []


def test_wrong_queries(api: Api) -> None:
    head = page(api.http, after="end")["head"]
    for wrong in ("-1", "x", "1.5", "٣", "9" * 19, ""):
        answer = api.http.get(EVENTS, params={"after": wrong})
        check_error(answer, 400, "after")
    for follow in ("false", "true"):
        query = {"after": head + 1, "follow": follow}
        check_error(api.http.get(EVENTS, params=query), 400, f"the log ends at {head}")
    for limit in ("0", "-1", "10001", "1e3", "9" * 30):
        check_error(api.http.get(EVENTS, params={"limit": limit}), 400, "limit", "10000")
    check_error(api.http.get(EVENTS, params={"name": "turn.complete"}), 400, "turn.completed?")
    check_error(api.http.get(EVENTS, params={"name": "turns.*"}), 400, "turn.*?")
    check_error(api.http.get(EVENTS, params={"name": "turn.completed.1"}), 400, "turn.completed?")
    check_error(api.http.get(EVENTS, params={"name": "*"}), 400, "agent.created")
    check_error(api.http.get(EVENTS, params={"stream": "sesion/x"}), 400, "session?")
    check_error(api.http.get(EVENTS, params={"stream": "session/"}), 400, "session for all")
    check_error(api.http.get(EVENTS, params={"stream": "x"}), 400, "agent, ")
    check_error(api.http.get(EVENTS, params={"follow": "yes"}), 400, "follow")
    check_error(api.http.get(EVENTS, params={"follow": "true", "limit": "1"}), 400, "limit")
    check_error(api.http.get(EVENTS, params={"names": "x"}), 400, "`name`")
    check_error(
        api.http.get(EVENTS, params={"follow": "true"}, headers={"last-event-id": "3.1"}),
        400,
        "Last-Event-ID",
    )


def test_deleted_content_is_gone_and_said(api: Api) -> None:
    conversation = api.conversation()
    turn_id = conversation.turn("a secret question")["turn_id"]
    api.http.delete(conversation.path).raise_for_status()
    events = every(api.http, stream=f"turn/{turn_id}")
    assert events and all(event["deleted"] and "event" not in event for event in events)
    assert events[0]["name"] == "turn.started"
    assert "a secret question" not in json.dumps(every(api.http))
    [*_, last] = every(api.http, stream=f"session/{conversation.session_id}")
    assert last["name"] == "session.deleted" and last["event"]["erased"]["turns"] == 1
    # What follows in the background is recorded too; the other tests want a log that nothing else writes.
    wait_until(lambda: every(api.http, last["position"], name="erasure.completed"))


def test_long_strings_are_references(api: Api) -> None:
    agent_id = api.create_agent(instructions="é" * 200_000)
    [event] = every(api.http, stream=f"agent/{agent_id}")
    text = event["event"]["config"]["instructions"]
    assert set(text) == {"$blob", "bytes"} and text["bytes"] > 400_000 - 10


def test_damaged_events_are_said(fresh_server: FreshServer) -> None:
    server = fresh_server()
    with server.http() as http:
        conversation = Api(http).conversation()
        turn_id = conversation.turn()["turn_id"]
    server.kill9()
    damage(server, "turn.step_completed", f"turn/{turn_id}")
    server.start()
    with server.http() as http:
        events = every(http, stream=f"turn/{turn_id}")
        [damaged] = [event for event in events if "damage" in event]
        assert damaged["name"] == "turn.step_completed" and "event" not in damaged
        assert len(every(http)) == page(http)["head"]


def test_a_follower_gets_what_is_recorded(api: Api, log_server: Replaystack) -> None:
    start = page(api.http, after="end")["next"]
    with log_server.http() as http, Followed(http, after="end", name="turn.*") as events:
        conversation = api.conversation()
        first = conversation.turn("one")["turn_id"]
        seen = [next(events)]
        while seen[-1]["name"] != "turn.completed":
            seen.append(next(events))
        assert {event["stream"] for event in seen} == {f"turn/{first}"}
        conversation.turn("two")
        seen.append(next(events))
        assert seen[-1]["name"] == "turn.started"
    assert every(api.http, start, name="turn.*")[: len(seen)] == seen


def test_a_follower_that_reads_nothing_holds_nothing_up(api: Api, log_server: Replaystack) -> None:
    conversation = api.conversation()
    with log_server.http() as http, Followed(http) as events:
        first = next(events)
        assert first["position"] == 1
        for _ in range(5):
            conversation.turn()
        assert conversation.show()["turns"][-1]["completed_at"]


def test_a_follower_is_kept_alive(log_server: Replaystack) -> None:
    with (
        log_server.http() as http,
        http.stream("GET", EVENTS, params={"follow": "true", "after": "end"}) as answer,
    ):
        # The server records events of its own at any time, such as a finished erasure.
        assert b": \n" in (line for part in answer.iter_raw() for line in part.splitlines(True))


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_over_reconnects_and_restarts(fresh_server: FreshServer) -> None:
    """The follower connects again with the last id, also to a server that was killed and started again."""
    server = fresh_server()
    seen: list[dict[str, Any]] = []
    done = threading.Event()

    def follow() -> None:
        while not done.is_set():
            headers = {"last-event-id": str(seen[-1]["position"])} if seen else None
            try:
                with server.http() as http, Followed(http, headers) as events:
                    for count, event in enumerate(events):
                        seen.append(event)
                        if count == 9 or done.is_set():
                            break
            except httpx.HTTPError:
                continue

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        with server.http() as http:
            conversation = Api(http).conversation()
            for _ in range(5):
                conversation.turn()
        server.kill9()
        server.start()
        with server.http() as http:
            again = Conversation(Api(http), conversation.agent_id, conversation.session_id)
            for _ in range(5):
                again.turn()
            whole = every(http)
            wait_until(lambda: len(seen) >= len(whole))
            done.set()
            # Wakes the follower.
            last = Api(http).create_agent()
            thread.join(60)
    finally:
        done.set()
    assert not thread.is_alive()
    assert seen[: len(whole)] == whole
    assert [event["position"] for event in seen] == list(range(1, len(seen) + 1)) and last


@pytest.mark.slow
def test_a_shutdown_ends_followers(fresh_server: FreshServer) -> None:
    server = fresh_server(shutdown_grace_s=300)
    with server.http() as http:
        Api(http).conversation()
        with Followed(http) as events:
            next(events)
            assert server.stop() == 0, "it does not wait for the reader"
            assert [event["position"] for event in events] == [2]
    assert '"level":"error"' not in server.log, server.log
