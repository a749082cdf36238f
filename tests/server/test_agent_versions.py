"""Versions of agents: updates over HTTP, and the version with which each turn runs."""

from __future__ import annotations

import sqlite3
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import httpx
import pytest

from tests.server.api import ANSWER, TEXT, TIME, Api, Conversation, check_error
from tests.server.conftest import FreshServer
from tests.server.evals import Evals, agent, asked
from tests.server.process import wait_until
from tests.server.test_damaged_events import damage, forget_views
from tests.server.tool_calls import TOOLS, rain, waiting, weather_man


def update(api: Api, agent_id: str, instructions: str = "", model: str = TEXT, **body: Any) -> httpx.Response:
    config = {"model": model, "instructions": instructions, **body.pop("config", {})}
    headers = body.pop("headers", None)
    return api.http.post(
        f"{api.prefix}/agents/{agent_id}", json={"agent_config": config, **body}, headers=headers
    )


def updated(api: Api, agent_id: str, instructions: str = "", model: str = TEXT, **body: Any) -> int:
    answer = update(api, agent_id, instructions, model, **body)
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"agent_id", "agent_version"} and answer.json()["agent_id"] == agent_id
    return int(answer.json()["agent_version"])


def instructions(api: Api, agent_id: str, **query: Any) -> tuple[str, str]:
    """The instructions of an agent in a version, and the number of it."""
    shown = api.http.get(f"{api.prefix}/agents/{agent_id}", params=query)
    assert shown.status_code == 200, shown.text
    return shown.json()["agent_config"]["instructions"], shown.headers["x-agent-version"]


@pytest.mark.parametrize("prefix", ["/v1alpha", "/v1"])
def test_an_update_makes_the_next_version(client: httpx.Client, prefix: str) -> None:
    api = Api(client, prefix)
    agent_id = api.create_agent(instructions="one")
    before = api.http.get(f"{prefix}/agents/{agent_id}").json()
    assert updated(api, agent_id, "two") == 2
    assert updated(api, agent_id, "two") == 2, "nothing has changed"
    assert updated(api, agent_id, "three", config={"sampling_params": {"temperature": 0}}) == 3
    assert instructions(api, agent_id) == instructions(api, agent_id, version=3) == ("three", "3")
    assert instructions(api, agent_id, version=2) == ("two", "2")
    assert api.http.get(f"{prefix}/agents/{agent_id}", params={"version": 1}).json() == before
    shown = api.http.get(f"{prefix}/agents/{agent_id}").json()
    assert shown["created_at"] == before["created_at"] and set(shown) == set(before)
    assert shown["agent_config"]["sampling_params"] == {"strategy": {"type": "greedy"}}
    assert shown["agent_config"]["max_infer_iters"] == 10

    path = f"{prefix}/agents/{agent_id}/versions"
    page = api.http.get(path).json()
    assert (page["has_more"], page["url"]) == (False, path)
    assert [one["version"] for one in page["data"]] == [1, 2, 3]
    assert [one["agent_config"]["instructions"] for one in page["data"]] == ["one", "two", "three"]
    assert page["data"][0]["agent_config"] == before["agent_config"]
    assert page["data"][0]["created_at"] == before["created_at"]
    assert all(TIME.fullmatch(one["created_at"]) for one in page["data"])
    page = api.http.get(path, params={"start_index": 1, "limit": 1}).json()
    assert ([one["version"] for one in page["data"]], page["has_more"]) == ([2], True)


def test_going_back_to_an_earlier_configuration_is_a_new_version(api: Api) -> None:
    agent_id = api.create_agent(instructions="one")
    assert [updated(api, agent_id, text) for text in ("two", "one", "one", "two")] == [2, 3, 3, 4]


def test_a_list_shows_the_newest_versions_in_the_order_of_creation(fresh_server: FreshServer) -> None:
    with fresh_server().http() as client:
        api = Api(client)
        ids = [api.create_agent(instructions=f"agent {number}") for number in range(4)]
        updated(api, ids[2], "later")
        updated(api, ids[0], "last")
        listed = api.agents().json()["data"]
        assert [one["agent_id"] for one in listed] == ids
        assert [one["agent_config"]["instructions"] for one in listed] == [
            "last",
            "agent 1",
            "later",
            "agent 3",
        ]
        [one] = api.agents(start_index=2, limit=1).json()["data"]
        assert one["agent_config"]["instructions"] == "later"
        assert one == client.get(f"/v1alpha/agents/{ids[2]}").json()


def test_what_is_refused(api: Api) -> None:
    agent_id = api.create_agent(instructions="one")
    path = f"/v1alpha/agents/{agent_id}"
    check_error(update(api, agent_id, model=" "), 400, "agent_config.model")
    check_error(update(api, agent_id, config={"max_infer_iters": 0}), 400, "agent_config.max_infer_iters")
    check_error(update(api, agent_id, config={"toolgroups": ["builtin::nope"]}), 400, "builtin::nope")
    check_error(update(api, agent_id, config={"instruction": "x"}), 400, "did you mean `instructions`")
    check_error(update(api, agent_id, "x" * (1 << 20)), 413)
    check_error(api.http.post(path, json={}), 400, "agent_config")
    check_error(update(api, agent_id, expected_version="1"), 400, "expected_version")
    assert updated(api, agent_id, "two") == 2
    for version in ("0", "-1", "x", "1.0"):
        check_error(api.http.get(path, params={"version": version}), 400, "version", version)
    check_error(api.http.get(path, params={"version": 3}), 404, "has versions 1 to 2")
    check_error(api.http.get(f"{path}/versions", params={"limit": -2}), 400, "limit")
    for known in ("", "/versions"):
        check_error(api.http.get(f"/v1alpha/agents/nowhere{known}"), 404, "nowhere")
    check_error(update(api, "nowhere"), 404, "nowhere")
    assert api.http.delete(path).status_code == 200
    check_error(update(api, agent_id, "three"), 404, agent_id)
    for gone in (path, f"{path}?version=1", f"{path}/versions"):
        check_error(api.http.get(gone), 404, agent_id)


def test_an_expected_version_that_is_not_the_present_one_is_refused(api: Api) -> None:
    agent_id = api.create_agent(instructions="one")
    assert updated(api, agent_id, "two", expected_version=1) == 2
    check_error(update(api, agent_id, "three", expected_version=1), 409, "has version 2")
    check_error(update(api, agent_id, "two", expected_version=1), 409, "has version 2")
    assert updated(api, agent_id, "two", expected_version=2) == 2
    assert instructions(api, agent_id) == ("two", "2")


def test_concurrent_updates_are_all_recorded_in_order(api: Api) -> None:
    agent_id = api.create_agent(instructions="start")
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda number: update(api, agent_id, f"text {number}"), range(24)))
        only_one = list(
            threads.map(lambda n: update(api, agent_id, f"new {n}", expected_version=25), range(8))
        )
    numbers = {answer.json()["agent_version"]: number for number, answer in enumerate(made)}
    assert sorted(numbers) == list(range(2, 26))
    versions = api.http.get(f"/v1alpha/agents/{agent_id}/versions").json()["data"]
    told = {one["version"]: one["agent_config"]["instructions"] for one in versions}
    assert all(told[version] == f"text {number}" for version, number in numbers.items())
    assert sorted(answer.status_code for answer in only_one) == [200, *[409] * 7]


def test_a_repeated_update_gets_its_first_answer(api: Api) -> None:
    agent_id = api.create_agent(instructions="one")
    same = {"idempotency-key": str(uuid.uuid4())}
    first = update(api, agent_id, "two", headers=same)
    assert first.json()["agent_version"] == 2
    third = update(api, agent_id, "three", headers={"x-stainless-retry-count": "0"})
    assert update(api, agent_id, "two", headers=same).content == first.content
    assert updated(api, agent_id, "four") == 4
    assert update(api, agent_id, "three", headers={"x-stainless-retry-count": "1"}).content == third.content
    check_error(update(api, agent_id, "other", headers=same), 409, "Idempotency-Key")
    assert instructions(api, agent_id) == ("four", "4")
    assert api.http.delete(f"/v1alpha/agents/{agent_id}").status_code == 200
    assert update(api, agent_id, "two", headers=same).content == first.content


def test_each_turn_names_the_version_with_which_it_ran(api: Api) -> None:
    conversation = api.conversation(TEXT)
    first = conversation.turn()
    assert updated(api, conversation.agent_id, model="scripted/text;chunks=1") == 2
    second = conversation.turn()
    assert first["output_message"]["content"] == ANSWER != second["output_message"]["content"]
    told = [conversation.outcome(turn["turn_id"])["agent_version"] for turn in (first, second)]
    assert told == [1, 2]
    other = Conversation(api, conversation.agent_id, api.create_session(conversation.agent_id))
    assert other.outcome(other.turn()["turn_id"])["agent_version"] == 2


def test_a_waiting_turn_is_resumed_with_its_own_version(api: Api) -> None:
    conversation = weather_man(api)
    turn = waiting(conversation)
    assert updated(api, conversation.agent_id, model="scripted/status;code=400") == 2
    resumed = conversation.resume(turn["turn_id"], rain())
    assert resumed.json()["output_message"]["content"] == ANSWER
    assert conversation.outcome(turn["turn_id"])["agent_version"] == 1
    check_error(conversation.post(), 400)


def test_turns_that_begin_during_updates_run_with_what_they_name(api: Api) -> None:
    agent_id = api.create_agent("scripted/say;text=v1")
    conversations = [Conversation(api, agent_id, api.create_session(agent_id)) for _ in range(8)]
    with ThreadPoolExecutor(9) as threads:
        turns = [threads.submit(conversation.post) for conversation in conversations]
        for number in range(2, 8):
            assert updated(api, agent_id, model=f"scripted/say;text=v{number}") == number
    for conversation, turn in zip(conversations, turns, strict=True):
        told = turn.result().json()
        version = conversation.outcome(told["turn_id"])["agent_version"]
        assert told["output_message"]["content"] == f"v{version}"
    assert conversations[0].turn()["output_message"]["content"] == "v7"


def test_a_turn_keeps_its_version_over_a_crash(fresh_server: FreshServer) -> None:
    server = fresh_server()
    with server.http() as http:
        api = Api(http)
        conversation = api.conversation("scripted/text;chunks=3;first_ms=2000", instructions="a canary sings")
        with conversation.streaming() as stream:
            turn_id = stream.until("step_start") and conversation.only_turn_id()
            assert updated(api, conversation.agent_id, "a canary flies", "scripted/say;text=later") == 2
            server.kill9()
    server.start()
    with server.http() as http:
        conversation = Conversation(Api(http), conversation.agent_id, conversation.session_id)
        wait_until(lambda: conversation.outcome(turn_id)["status"] == "completed", 60)
        assert conversation.outcome(turn_id)["agent_version"] == 1
        assert conversation.get(turn_id).json()["output_message"]["content"] == ANSWER
        assert conversation.turn()["output_message"]["content"] == "later"
        assert http.delete(f"/v1alpha/agents/{conversation.agent_id}").status_code == 200
    server.stop()
    with closing(sqlite3.connect(server.data / "events.sqlite")) as log:
        left = log.execute("SELECT name FROM events WHERE CAST(state AS TEXT) LIKE '%a canary%'").fetchall()
    assert left == []


@pytest.mark.parametrize("rebuild", [False, True])
def test_a_damaged_version_is_said_and_never_replaced_by_an_older_one(
    fresh_server: FreshServer, rebuild: bool
) -> None:
    server = fresh_server()
    with server.http() as http:
        api = Api(http)
        newest, older = weather_man(api, TOOLS, instructions="one"), api.conversation(instructions="one")
        turn = waiting(newest)
        for conversation in (newest, older):
            updated(api, conversation.agent_id, "two", TOOLS)
        updated(api, older.agent_id, "three")
        assert len(api.agents().json()["data"]) == 2
    server.kill9()
    for conversation in (newest, older):
        damage(server, "agent.updated", f"agent/{conversation.agent_id}")
    if rebuild:
        forget_views(server.data)
    server.start()
    with server.http() as http:
        api = Api(http)
        newest, older = (Conversation(api, one.agent_id, one.session_id) for one in (newest, older))
        path = f"/v1alpha/agents/{newest.agent_id}"
        error = check_error(newest.post(), 500, "agent.updated")
        assert error["title"] == "Stored Content Damaged"
        # The turn that began with the version before is not concerned.
        assert newest.resume(turn["turn_id"], rain()).json()["output_message"]["content"] == ANSWER
        assert instructions(api, newest.agent_id, version=1) == ("one", "1")
        listed = [one["agent_id"] for one in api.agents().json()["data"]]
        assert instructions(api, older.agent_id) == ("three", "3")
        versions = [
            one["version"] for one in http.get(f"/v1alpha/agents/{older.agent_id}/versions").json()["data"]
        ]
        if rebuild:
            check_error(http.get(path), 500, "Version 2", "agent.updated")
            check_error(http.get(f"/v1alpha/agents/{older.agent_id}?version=2"), 500, "agent.updated")
            assert (listed, versions) == ([older.agent_id], [1, 3])
        else:
            assert instructions(api, newest.agent_id) == ("two", "2")
            assert (listed, versions) == ([newest.agent_id, older.agent_id], [1, 2, 3])
        assert updated(api, newest.agent_id, "four", "scripted/text;chunks=3") == 3
        assert instructions(api, newest.agent_id) == ("four", "3")
        assert newest.turn()["output_message"]["content"] == ANSWER
        assert newest.agent_id in [one["agent_id"] for one in api.agents().json()["data"]]
        assert http.delete(path).status_code == 200 and http.get(path).status_code == 404


def test_a_job_runs_with_the_agent_with_which_it_was_created(client: httpx.Client) -> None:
    api, benchmark = Api(client), Evals(client).registered(asked(12))
    job_id = benchmark.job(agent("scripted/text;chunks=3;first_ms=60"), wait=0)
    agent_id = benchmark.outcome(job_id)["agent_id"]
    assert updated(api, agent_id, model="scripted/status;code=400") == 2
    assert benchmark.ended(job_id)["num_failed"] == 0
    assert benchmark.outcome(job_id)["agent_version"] == 1
