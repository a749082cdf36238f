"""Never twice: repeated POSTs, by Idempotency-Key and by the retry count of existing clients."""

from __future__ import annotations

import json
import threading
import uuid
from typing import Any

import httpx
import pytest

from tests.server.api import TEXT, Api, Conversation, check_error, parse, turn_body
from tests.server.conftest import FreshServer
from tests.server.process import Replaystack, wait_until
from tests.servers.processes import RunningServer

RETRY = {"x-stainless-retry-count": "1"}
SLOW = "scripted/text;chunks=3;first_ms=600"


def key() -> dict[str, str]:
    return {"idempotency-key": str(uuid.uuid4())}


def agent_body(name: str = "one") -> dict[str, Any]:
    return {"agent_config": {"model": TEXT, "instructions": "", "name": name}}


@pytest.mark.parametrize("first", [{}, {"x-stainless-retry-count": "0"}])
def test_requests_without_a_sign_of_repetition_are_all_new(api: Api, first: dict[str, str]) -> None:
    answers = [api.http.post("/v1alpha/agents", json=agent_body(), headers=first).json() for _ in range(3)]
    assert len({answer["agent_id"] for answer in answers}) == 3


def test_the_same_key_makes_one_agent(api: Api) -> None:
    same = key()
    answers = [api.http.post("/v1alpha/agents", json=agent_body(), headers=same) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    error = check_error(api.http.post("/v1alpha/agents", json=agent_body("two"), headers=same), 409)
    assert "Idempotency-Key" in error["detail"]


def test_the_same_key_makes_one_session(api: Api) -> None:
    agent_id = api.create_agent()
    path, same = f"/v1alpha/agents/{agent_id}/session", key()
    answers = [api.http.post(path, json={"session_name": "x"}, headers=same).content for _ in range(2)]
    assert answers[0] == answers[1]
    assert len(api.http.get(f"/v1alpha/agents/{agent_id}/sessions").json()["data"]) == 1
    check_error(api.http.post(path, json={"session_name": "y"}, headers=same), 409)


def test_a_conflict_over_a_key_leaves_its_answer_as_it_was(api: Api) -> None:
    same = key()
    first = api.http.post("/v1alpha/agents", json=agent_body(), headers=same)
    check_error(api.http.post("/v1alpha/agents", json=agent_body("two"), headers=same), 409)
    again = api.http.post("/v1alpha/agents", json=agent_body(), headers=same)
    assert again.status_code == 200 and again.content == first.content


def test_a_key_counts_for_its_path_only(api: Api) -> None:
    same = key()
    first, second = api.conversation(), api.conversation()
    one, two = first.post(headers=same), second.post(headers=same)
    assert one.status_code == two.status_code == 200
    assert one.json()["turn_id"] != two.json()["turn_id"]


def test_the_same_key_makes_one_turn(conversation: Conversation, scripted: RunningServer) -> None:
    same = key()
    first = conversation.post(headers=same)
    again = conversation.post(headers=same)
    assert again.status_code == 200 and again.content == first.content
    assert again.headers["x-turn-status"] == "completed"
    assert scripted.counts()["requests"] == 1
    check_error(conversation.post("something else", headers=same), 409)
    assert len(conversation.show()["turns"]) == 1


def test_the_same_key_gives_the_same_refusal(conversation: Conversation, scripted: RunningServer) -> None:
    """A final 4xx is an answer like any other: it stays, even when the request would succeed by now."""
    same, path = key(), f"{conversation.path}/turn"
    first = conversation.post([], headers=same)
    check_error(first, 400)
    assert conversation.http.post(path, json=turn_body([]), headers=same).json() == first.json()
    check_error(conversation.post("another body", headers=same), 409)

    stalled = conversation.api.conversation("scripted/stall;chunks=1")
    busy = key()
    with stalled.streaming() as stream:
        stream.until("step_progress")
        check_error(stalled.post("busy", headers=busy), 409)
        stalled.cancel(stalled.only_turn_id())
    check_error(stalled.post("busy", headers=busy), 409)


def test_a_failed_turn_is_not_run_again_for_its_key(api: Api, scripted: RunningServer) -> None:
    conversation = api.conversation("scripted/cut;chunks=2;gap_ms=20")
    same = key()
    first = conversation.post(headers=same)
    again = conversation.post(headers=same)
    check_error(first, 502)
    assert again.status_code == 502 and again.json() == first.json()
    assert again.headers["x-should-retry"] == "false"
    assert scripted.counts()["requests"] == 1
    assert len(conversation.show()["turns"]) == 1


@pytest.mark.parametrize("headers", [key(), RETRY])
@pytest.mark.parametrize("stream", [False, True])
def test_a_repetition_joins_a_turn_that_still_runs(
    api: Api, server: Replaystack, scripted: RunningServer, headers: dict[str, str], stream: bool
) -> None:
    conversation = api.conversation(SLOW)
    answers = _at_once(server, conversation, [headers] * 4, stream=stream)
    assert {answer.status_code for answer in answers} == {200}
    contents = {answer.content.replace(b": \n", b"") for answer in answers}
    assert len(contents) == 1
    assert len(conversation.show()["turns"]) == 1
    assert scripted.counts()["requests"] == 1


def _at_once(
    server: Replaystack, conversation: Conversation, headers: list[dict[str, str]], **body: Any
) -> list[httpx.Response]:
    """The answers to a turn that is posted by several clients at the same time."""
    answers: list[httpx.Response] = []

    def post(one: dict[str, str]) -> None:
        with server.http() as own:
            same = Conversation(Api(own), conversation.agent_id, conversation.session_id)
            answers.append(same.post("the same question", headers=one, **body))

    threads = [threading.Thread(target=post, args=(one,)) for one in headers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return answers


def test_a_retry_of_a_running_first_try_joins_it(
    api: Api, server: Replaystack, scripted: RunningServer
) -> None:
    """As the Python clients do it: the first try has count 0, then the connection breaks."""
    conversation = api.conversation(SLOW)
    with (
        server.http(headers={"x-stainless-retry-count": "0"}) as own,
        pytest.raises(httpx.ReadTimeout),
    ):
        own.post(f"{conversation.path}/turn", json=turn_body("again"), timeout=0.2)
    answer = conversation.post("again", headers=RETRY)
    assert answer.status_code == 200
    assert [turn["turn_id"] for turn in conversation.show()["turns"]] == [answer.json()["turn_id"]]
    assert scripted.counts()["requests"] == 1


def test_a_retry_after_the_end_gets_the_answer(conversation: Conversation, scripted: RunningServer) -> None:
    first = conversation.post("again")
    for count in ("1", "2"):
        assert conversation.post("again", headers={"x-stainless-retry-count": count}).content == first.content
    other = conversation.post("something else", headers=RETRY)
    assert other.json()["turn_id"] != first.json()["turn_id"]
    assert scripted.counts()["requests"] == 2


def test_a_retry_of_something_that_never_arrived_is_done(conversation: Conversation) -> None:
    answer = conversation.post("first seen as a retry", headers=RETRY)
    assert answer.status_code == 200
    assert len(conversation.show()["turns"]) == 1


def test_a_retry_makes_no_second_agent_or_session(api: Api) -> None:
    body = agent_body(str(uuid.uuid4()))
    first = api.http.post("/v1alpha/agents", json=body)
    assert api.http.post("/v1alpha/agents", json=body, headers=RETRY).content == first.content
    path = f"/v1alpha/agents/{first.json()['agent_id']}/session"
    session = api.http.post(path, json={"session_name": "x"})
    assert api.http.post(path, json={"session_name": "x"}, headers=RETRY).content == session.content


@pytest.mark.parametrize("count", ["", "x", "-1", "1e9", "99999999999999999999", "٣"])
def test_a_retry_count_that_is_none_is_ignored(conversation: Conversation, count: str) -> None:
    headers = httpx.Headers([(b"x-stainless-retry-count", count.encode())])
    path, body = f"{conversation.path}/turn", turn_body("x")
    answers = [conversation.http.post(path, json=body, headers=headers) for _ in range(2)]
    assert len({answer.json()["turn_id"] for answer in answers}) == 2


def test_a_stream_is_joined_from_its_start(conversation: Conversation, scripted: RunningServer) -> None:
    same = key()
    first = conversation.post("streamed", headers=same, stream=True)
    again = conversation.post("streamed", headers=same, stream=True)
    assert again.status_code == 200
    assert again.content.replace(b": \n", b"") == first.content.replace(b": \n", b"")
    retried = conversation.post("streamed", headers=RETRY, stream=True)
    assert parse(retried.content)[0].kind == "turn_start"
    assert scripted.counts()["requests"] == len(conversation.show()["turns"])


def test_a_very_long_key_is_refused(conversation: Conversation) -> None:
    check_error(conversation.post(headers={"idempotency-key": "k" * 256}), 400, "Idempotency-Key")
    assert conversation.post(headers={"idempotency-key": "k" * 255}).status_code == 200


def test_keys_of_different_callers_are_different(fresh_server: FreshServer) -> None:
    server = fresh_server(environment={"REPLAYSTACK_API_KEYS": "ada:first-secret,bob:second-secret"})
    same = key()
    ids = set()
    for secret in ("first-secret", "second-secret"):
        with server.http(headers={"authorization": f"Bearer {secret}", **same}) as client:
            answers = [client.post("/v1alpha/agents", json=agent_body()).content for _ in range(2)]
            assert answers[0] == answers[1]
            ids.add(json.loads(answers[0])["agent_id"])
    assert len(ids) == 2


@pytest.mark.parametrize("headers", [key(), RETRY])
def test_repetitions_after_a_crash(
    fresh_server: FreshServer, scripted: RunningServer, headers: dict[str, str]
) -> None:
    """Killed while the turn runs: the repetition joins the turn that the next start takes up. Killed after its
    end: the repetition gets its answer. Agents and sessions likewise."""
    server = fresh_server()
    # What the Python clients repeat had a first try without a count.
    first = headers if "idempotency-key" in headers else {}
    with server.http() as client:
        api = Api(client)
        created = client.post("/v1alpha/agents", json=agent_body(), headers=first).content
        done = api.conversation("scripted/text;chunks=3")
        path = f"/v1alpha/agents/{done.agent_id}/session"
        session = client.post(path, json={"session_name": "again"}, headers=first).content
        ended = done.post("ended", headers=first).content
        broken = api.conversation("scripted/stall;chunks=1;times=1")
        with client.stream(
            "POST", f"{broken.path}/turn", json=turn_body("broken", stream=True), headers=first
        ) as answer:
            wait_until(lambda: scripted.counts()["by_model"].get("stall;chunks=1;times=1"))
            turn_id = next(iter(answer.iter_lines())) and broken.only_turn_id()
            server.kill9()
    server.start()
    with server.http() as client:
        api = Api(client)
        assert client.post("/v1alpha/agents", json=agent_body(), headers=headers).content == created
        assert client.post(path, json={"session_name": "again"}, headers=headers).content == session
        assert (
            Conversation(api, done.agent_id, done.session_id).post("ended", headers=headers).content == ended
        )
        broken = Conversation(api, broken.agent_id, broken.session_id)
        frames = parse(broken.post("broken", headers=headers, stream=True).content)
        assert frames[0].payload == {"event_type": "turn_start", "turn_id": turn_id}
        assert frames[-1].kind == "turn_complete"
        assert [turn["turn_id"] for turn in broken.show()["turns"]] == [turn_id]
        check = broken.post("another", headers=headers)
        assert check.status_code == (409 if first else 200)
    assert scripted.counts()["by_model"]["text;chunks=3"] == 1
    assert scripted.counts()["by_model"]["stall;chunks=1;times=1"] == (2 if first else 3)
    server.check_healthy()
