"""Reads as of an earlier position of the log, or of an earlier time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from tests.server.api import Api, Conversation, check_error
from tests.server.conftest import FreshServer
from tests.server.evals import Evals, asked
from tests.server.test_agent_versions import updated
from tests.server.test_damaged_events import damage, forget_views
from tests.server.tool_calls import rain, waiting, weather_man

POSITION = "x-replaystack-position"
Answer = tuple[int, Any]


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def position(http: httpx.Client) -> int:
    """The present position of the log."""
    answer = http.get("/v1alpha/agents", params={"limit": 0, "as_of": now()})
    assert answer.status_code == 200, answer.text
    return int(answer.headers[POSITION])


def get(http: httpx.Client, path: str, as_of: int | str | None = None) -> Answer:
    if as_of is not None:
        path += f"{'&' if '?' in path else '?'}{urlencode({'as_of': as_of})}"
    answer = http.get(path)
    if as_of is None:
        assert POSITION not in answer.headers
    elif answer.status_code != 400:
        assert answer.headers[POSITION].isdigit()
    if answer.status_code == 404:
        assert (" as_of " in answer.json()["detail"]) is (as_of is not None), answer.text
        return 404, None
    return answer.status_code, answer.json()


class Past:
    """The answers of all paths at some moments, to be asked for again later."""

    def __init__(self, http: httpx.Client, *paths: str) -> None:
        self.http = http
        self.paths = list(paths)
        self.moments: list[tuple[int, str, dict[str, Any]]] = []

    def keep(self, *paths: str) -> int:
        """Records the present; `paths` are also read from now on, and were not there before."""
        self.paths += paths
        found = {path: get(self.http, path) for path in self.paths}
        here = position(self.http)
        self.moments.append((here, now(), found))
        return here

    def check(self) -> None:
        for here, at, found in self.moments:
            for path in self.paths:
                expected = found.get(path, (404, None))
                for as_of in (here, at):
                    assert get(self.http, path, as_of) == expected, (path, as_of)


@pytest.fixture
def past(fresh_server: FreshServer) -> Iterator[Past]:
    """The past of a server whose log has no other events."""
    with fresh_server().http() as http:
        yield Past(http)


def test_agents_sessions_and_turns_as_they_were(past: Past) -> None:
    http = past.http
    api = Api(http)
    past.keep("/v1alpha/agents", "/v1/agents")
    conversation = weather_man(api, instructions="one")
    agent = f"/v1alpha/agents/{conversation.agent_id}"
    past.keep(
        agent,
        f"{agent}?version=1",
        f"{agent}/versions",
        f"{agent}/sessions",
        conversation.path,
        conversation.path.replace("v1alpha", "v1"),
        f"/v1alpha/sessions/{conversation.session_id}",
    )
    turn = waiting(conversation)
    path = f"{conversation.path}/turn/{turn['turn_id']}"
    step = f"{path}/step/{turn['steps'][0]['step_id']}"
    awaits = past.keep(path, f"{path}/outcome", step)
    updated(api, conversation.agent_id, "two", "scripted/text;chunks=3")
    past.keep(f"{agent}?version=2")
    resumed = conversation.resume(turn["turn_id"], rain()).json()
    past.keep(f"{path}/step/{resumed['steps'][-1]['step_id']}")
    updated(api, conversation.agent_id, "three", "scripted/text;chunks=3")
    conversation.turn()
    other = Conversation(api, conversation.agent_id, api.create_session(conversation.agent_id))
    past.keep(other.path)
    past.check()

    assert http.get(path, params={"as_of": awaits}).headers["x-turn-status"] == "awaiting_input"
    _, session = get(http, f"{conversation.path}?turn_ids={turn['turn_id']}&limit=1", awaits)
    assert session["turns"] == [turn]
    before_it = {"as_of": awaits, "version": 2}
    check_error(http.get(agent, params=before_it), 404, "has versions 1 to 1", f"position {awaits}")

    http.delete(conversation.path).raise_for_status()
    http.delete(agent).raise_for_status()
    for here, _, found in past.moments:
        for gone in found:
            if gone.endswith("/agents"):
                assert get(http, gone, here)[1]["data"] == []
            else:
                assert get(http, gone, here) == (404, None), gone


def test_a_turn_that_runs_as_it_was(past: Past) -> None:
    conversation = Api(past.http).conversation("scripted/silent")
    with conversation.streaming() as stream:
        stream.until("turn_start")
        path = f"{conversation.path}/turn/{conversation.only_turn_id()}"
        here = past.keep(path, f"{path}/outcome", conversation.path)
        assert conversation.cancel(conversation.only_turn_id()).status_code == 200
    past.keep()
    past.check()
    running = past.http.get(f"{path}/outcome", params={"as_of": here}).json()
    assert running == {"status": "running", "usage": {}, "agent_version": 1}


def test_datasets_as_they_were(past: Past) -> None:
    datasets = Evals(past.http).datasets
    past.keep("/v1beta/datasets", "/v1/datasets")
    name = datasets.registered([{"n": 0}], dataset_id="a/b")
    rows, one = f"/v1beta/datasetio/iterrows/{name}", f"/v1beta/datasets/{name}"
    first = past.keep(rows, one, f"{one}/versions", f"{rows}?version=1", f"{one}/versions/diff?from=1")
    datasets.append(name, [{"n": 1}, {"n": 2}])
    past.keep(f"{rows}?version=2", f"{one}/versions/diff?from=1&to=2")
    datasets.append(name, [{"n": number} for number in range(300)])
    past.keep(f"{rows}?version=3&limit=10&start_index=3")
    past.check()
    answer = past.http.get(rows, params={"as_of": first})
    assert (answer.headers["x-dataset-version"], answer.headers["x-dataset-rows"]) == ("1", "1")
    assert answer.headers[POSITION] == str(first)
    check_error(past.http.get(rows, params={"as_of": first, "version": 2}), 404, "has versions 1 to 1")

    datasets.unregister(name)
    between = position(past.http)
    datasets.registered([{"n": 7}], dataset_id=name)
    for here in (first, between):
        assert get(past.http, rows, here) == get(past.http, one, here) == (404, None)
        assert get(past.http, "/v1beta/datasets", here)[1] == {"data": []}
    assert get(past.http, rows, position(past.http))[1]["data"] == [{"n": 7}]


def test_benchmarks_and_jobs_as_they_were(past: Past) -> None:
    evals = Evals(past.http)
    past.keep("/v1alpha/eval/benchmarks")
    benchmark = evals.registered(asked(12), name="bench")
    past.keep(benchmark.path, f"{benchmark.path}/jobs")
    benchmark.job()
    job = f"{benchmark.path}/jobs/0"
    past.keep(job, f"{job}/outcome", f"{job}/result")
    before = position(past.http)
    slow = benchmark.job()
    path = f"{benchmark.path}/jobs/{slow}"
    told: dict[str, Any] = {"num_done": -1}
    for running in range(before + 1, position(past.http)):
        status, outcome = get(past.http, f"{path}/outcome", running)
        told = outcome if status == 200 else told
        if told["num_done"] == 5:
            break
    assert (told["status"], told["num_done"], told["num_rows"]) == ("in_progress", 5, 12)
    assert get(past.http, path, running) == (200, {"job_id": slow, "status": "in_progress"})
    refused = past.http.get(f"{path}/result", params={"as_of": running})
    check_error(refused, 409, "in_progress", "5 of 12")
    check_error(benchmark.compare("0", slow, as_of=running), 409, "in_progress")
    past.keep(path, f"{path}/outcome", f"{path}/result", f"{benchmark.path}/compare?a=0&b={slow}")
    benchmark.job()
    past.keep()
    past.check()
    evals.unregister("bench")
    for here, _, _ in past.moments:
        assert get(past.http, f"{job}/result", here) == get(past.http, benchmark.path, here) == (404, None)
        assert get(past.http, "/v1alpha/eval/benchmarks", here)[1] == {"data": []}


def test_before_the_beginning_there_is_nothing(client: httpx.Client) -> None:
    conversation = Api(client).conversation()
    for as_of in ("0", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z"):
        assert client.get("/v1alpha/agents", params={"as_of": as_of}).headers[POSITION] == "0"
        assert get(client, "/v1alpha/agents", as_of)[1]["data"] == []
        assert get(client, "/v1beta/datasets", as_of)[1]["data"] == []
        assert get(client, conversation.path, as_of) == (404, None)


def test_a_time_has_its_offset(client: httpx.Client) -> None:
    api = Api(client)
    agent_id = api.create_agent()
    path = f"/v1alpha/agents/{agent_id}"
    created_at = client.get(path).json()["created_at"]
    assert get(client, path, created_at)[0] == 200
    at = datetime.fromisoformat(created_at)
    assert get(client, path, (at - timedelta(microseconds=1)).isoformat())[0] == 404
    for hours in (-7, 2):
        local = at.astimezone(timezone(timedelta(hours=hours))).isoformat()
        assert get(client, path, local)[0] == 200
        assert client.get(f"{path}?as_of={local}").status_code == 200, "a `+` that is not encoded is a space"


@pytest.mark.parametrize(
    "as_of",
    [
        "",
        "-1",
        "1.5",
        "x",
        "now",
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-02-30T12:00:00Z",
        "1e3",
        "٣",
        " 1",
    ],
)
def test_what_names_no_moment_is_refused(client: httpx.Client, as_of: str) -> None:
    answer = client.get("/v1alpha/agents", params={"as_of": as_of})
    check_error(answer, 400, "as_of", "position of the log", "2026-01-31T12:00:00Z")


def test_the_future_is_refused_with_the_newest_moment(client: httpx.Client) -> None:
    Api(client).create_agent()
    for as_of in ("9" * 30, "999999999", "2999-01-01T00:00:00Z"):
        answer = client.get("/v1alpha/agents", params={"as_of": as_of})
        detail = check_error(answer, 400, f"as_of is {as_of}", "The newest position is ")["detail"]
        newest = detail.partition("The newest position is ")[2].partition(",")[0]
        assert get(client, "/v1alpha/agents?limit=1", newest)[0] == 200
        at = detail.partition("recorded at ")[2].partition(": name")[0]
        assert get(client, "/v1alpha/agents?limit=1", at)[0] == 200


def test_as_of_is_for_reading_what_was(client: httpx.Client) -> None:
    conversation = Api(client).conversation()
    turn = conversation.turn()
    for path in (f"{conversation.path}/turn/{turn['turn_id']}/stream", "/v1/models", "/v1alpha/approvals"):
        check_error(client.get(path, params={"as_of": 1}), 400, "as_of")
    body = {"agent_config": {"model": "m", "instructions": ""}}
    check_error(client.post("/v1alpha/agents", params={"as_of": 1}, json=body), 400, "as_of")
    check_error(client.get("/v1alpha/agents?as_of=1&as_of=2"), 400, "2 times")


def test_damaged_events_as_they_were(fresh_server: FreshServer) -> None:
    server = fresh_server()
    with server.http() as http:
        past = Past(http)
        conversation = weather_man(Api(http))
        turn = waiting(conversation)
        path = f"{conversation.path}/turn/{turn['turn_id']}"
        awaits = past.keep(path, conversation.path)
        conversation.resume(turn["turn_id"], rain())
        conversation.turn("Again?")
    server.kill9()
    damage(server, "turn.started", f"turn/{turn['turn_id']}")
    forget_views(server.data)
    server.start()
    with server.http() as http:
        shown = http.get(path, params={"as_of": awaits})
        assert shown.headers["x-turn-status"] == "awaiting_input"
        assert shown.json()["steps"] == turn["steps"] and "completed_at" not in shown.json()
        [only] = http.get(conversation.path, params={"as_of": awaits}).json()["turns"]
        assert only == shown.json()
        assert len(http.get(conversation.path).json()["turns"]) == 2
