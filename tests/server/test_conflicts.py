"""Requests that meet: at the same moment, or in the middle of something else."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.server.api import ANSWER, TEXT, Api, Conversation, check_error, parse, turn_body
from tests.server.process import Replaystack, wait_until
from tests.servers.processes import RunningServer


def at_once(
    server: Replaystack, requests: list[Callable[[httpx.Client], httpx.Response]]
) -> list[httpx.Response]:
    """The answers to requests that are made at the same moment, each on a connection of its own, in their order."""
    barrier = threading.Barrier(len(requests))
    answers: dict[int, httpx.Response] = {}

    def make(number: int) -> None:
        with server.http() as own:
            own.get("/v1/health")
            barrier.wait(10)
            answers[number] = requests[number](own)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return [answers[number] for number in range(len(requests))]


def test_of_turns_at_the_same_moment_one_runs(api: Api, server: Replaystack, scripted: RunningServer) -> None:
    conversation = api.conversation("scripted/text;chunks=3;first_ms=400")
    body = turn_body("me")

    def post(http: httpx.Client) -> httpx.Response:
        return http.post(f"{conversation.path}/turn", json=body)

    answers = at_once(server, [post] * 8)
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 7}
    assert len(conversation.show()["turns"]) == 1
    assert scripted.counts()["requests"] == 1


def test_a_key_that_is_in_use_with_another_body(api: Api, server: Replaystack) -> None:
    conversation = api.conversation("scripted/text;chunks=3;first_ms=400")
    headers = {"idempotency-key": "the same for both"}

    def post(text: str) -> Callable[[httpx.Client], httpx.Response]:
        return lambda http: http.post(f"{conversation.path}/turn", json=turn_body(text), headers=headers)

    answers = at_once(server, [post("one"), post("two"), post("one"), post("two")])
    assert Counter(answer.status_code for answer in answers) == {200: 2, 409: 2}
    assert len(conversation.show()["turns"]) == 1


def test_deleting_twice_at_the_same_moment(api: Api, server: Replaystack) -> None:
    conversation = api.conversation("scripted/stall;chunks=1")
    with conversation.streaming() as stream:
        stream.until("step_progress")
        answers = at_once(server, [lambda http: http.delete(conversation.path)] * 4)
        assert parse(stream.rest())[-1].kind == "turn_complete"
    assert {answer.status_code for answer in answers} <= {200, 404}
    assert 200 in {answer.status_code for answer in answers}
    check_error(conversation.http.get(conversation.path), 404)


def test_deleting_an_agent_ends_its_running_turns(api: Api, scripted: RunningServer) -> None:
    conversation = api.conversation("scripted/stall;chunks=2")
    with conversation.streaming() as stream:
        stream.until("step_progress")
        assert api.http.delete(f"/v1alpha/agents/{conversation.agent_id}").status_code == 200
        assert parse(stream.rest())[-1].kind == "turn_complete"
    check_error(conversation.http.get(conversation.path), 404)
    wait_until(lambda: scripted.counts()["disconnects"])


def test_a_whole_answer_of_a_session_that_is_deleted_meanwhile(api: Api, server: Replaystack) -> None:
    conversation = api.conversation("scripted/stall;chunks=2")
    found: list[httpx.Response] = []

    def wait() -> None:
        with server.http() as own:
            found.append(Conversation(Api(own), conversation.agent_id, conversation.session_id).post())

    thread = threading.Thread(target=wait)
    thread.start()
    wait_until(lambda: conversation.show()["turns"])
    assert api.http.delete(conversation.path).status_code == 200
    thread.join(10)
    [answer] = found
    assert answer.status_code == 200 and answer.headers["x-turn-status"] == "cancelled"


@pytest.mark.slow
def test_what_is_created_under_an_agent_that_is_being_deleted(api: Api, server: Replaystack) -> None:
    """Either it is created first and deleted with it, or it is refused; nothing is left over."""
    for _ in range(5):
        agent_id = api.create_agent()
        path = f"/v1alpha/agents/{agent_id}"

        def create(http: httpx.Client, path: str = path) -> httpx.Response:
            return http.post(f"{path}/session", json={"session_name": "x"})

        def delete(http: httpx.Client, path: str = path) -> httpx.Response:
            return http.delete(path)

        *created, deleted = at_once(server, [create, create, create, delete])
        assert deleted.status_code == 200
        for answer in created:
            if answer.status_code != 200:
                check_error(answer, 404 if answer.status_code == 404 else 409)
                continue
            check_error(api.http.get(f"{path}/session/{answer.json()['session_id']}"), 404)


@pytest.mark.slow
def test_cancelled_and_ended_at_the_same_moment(api: Api, server: Replaystack) -> None:
    """A turn has one end, and everybody hears of the same."""
    for number in range(12):
        conversation = api.conversation(f"scripted/text;chunks=3;gap_ms={number * 4}")
        with conversation.streaming() as stream:
            turn_id = stream.until("turn_start").payload["turn_id"]
            assert conversation.cancel(turn_id).status_code == 200
            frames = parse(stream.rest())
        whole: dict[str, Any] = frames[-1].payload["turn"]
        assert conversation.get(turn_id).json() == whole
        status = conversation.outcome(turn_id)["status"]
        assert status in ("completed", "cancelled")
        assert (status == "completed") == (whole["output_message"]["content"] == ANSWER) or not whole["steps"]
        conversation.turn("the session is not wedged")


@pytest.mark.slow
def test_reads_see_every_write_before_them(api: Api, server: Replaystack) -> None:
    """From every client, regardless of who wrote."""
    found: list[str] = []

    def write_and_read() -> None:
        with server.http() as own:
            client = Api(own)
            for _ in range(10):
                agent_id = client.create_agent(TEXT)
                listed = [agent["agent_id"] for agent in client.agents().json()["data"]]
                if agent_id not in listed or own.get(f"/v1alpha/agents/{agent_id}").status_code != 200:
                    found.append(agent_id)
                own.delete(f"/v1alpha/agents/{agent_id}")
                if own.get(f"/v1alpha/agents/{agent_id}").status_code != 404:
                    found.append(agent_id)

    threads = [threading.Thread(target=write_and_read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == []
