"""Keys that are older than a day, for every POST that records something: a new request, never an answer without one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import httpx
import pytest

from tests.server.api import TEXT, Api
from tests.server.conftest import FreshServer
from tests.server.evals import EQUALITY, asked, model
from tests.server.telemetry import Telemetry, where
from tests.server.telemetry_samples import family
from tests.server.tool_calls import rain, waiting, weather_man
from tests.servers.processes import RunningServer

pytestmark = [pytest.mark.slow, pytest.mark.long]

KEY = {"idempotency-key": "nightly"}
RETRY = {"x-stainless-retry-count": "1"}
HOUR_S = 3600
DATASET = "nightly"
EVALUATED = "text;chunks=4"
BENCHMARK = "/v1alpha/eval/benchmarks/b"


class Kind(NamedTuple):
    """A POST, and how often it has been done so far."""

    path: str
    body: dict[str, Any]
    count: Callable[[httpx.Client], int]


def prepared(http: httpx.Client, scripted: RunningServer) -> dict[str, Kind]:
    """The POSTs, on an agent, a session, a dataset, a benchmark and spans that are made here."""
    conversation = Api(http).conversation()
    rows = {"type": "rows", "rows": asked(2)}
    register = {"purpose": "eval/question-answer", "source": rows}
    assert http.post("/v1beta/datasets", json=register | {"dataset_id": DATASET}).status_code == 200
    benchmark = {"benchmark_id": "b", "dataset_id": DATASET, "scoring_functions": [EQUALITY]}
    assert http.post("/v1alpha/eval/benchmarks", json=benchmark).status_code == 200
    Telemetry(http).send(family("nightly"))

    agent, session = f"/v1alpha/agents/{conversation.agent_id}", conversation.path
    turn = {"messages": [{"role": "user", "content": "hello"}]}
    configured = {"benchmark_config": model(f"scripted/{EVALUATED}")}
    evaluation = {"input_rows": asked(1), "scoring_functions": [EQUALITY], **configured}
    scores = {"dataset_id": DATASET, "scoring_functions": {EQUALITY: None}, "save_results_dataset": True}
    export = {
        "attribute_filters": [where("family", "eq", "nightly")],
        "attributes_to_save": ["family"],
        "dataset_id": "spans",
    }
    turns = lambda http: len(http.get(session).json()["turns"])  # noqa: E731
    evaluations = lambda _: scripted.counts()["by_model"].get(EVALUATED, 0)  # noqa: E731
    config = {"agent_config": {"model": TEXT, "instructions": "x"}}
    return {
        "agent": Kind("/v1alpha/agents", config, listed("/v1alpha/agents")),
        "session": Kind(f"{agent}/session", {"session_name": "s"}, listed(f"{agent}/sessions")),
        "turn": Kind(f"{session}/turn", turn, turns),
        "streamed turn": Kind(f"{session}/turn", turn | {"stream": True}, turns),
        "rows": Kind(f"/v1beta/datasetio/append-rows/{DATASET}", {"rows": [{"a": 1}]}, rows_of(DATASET, 1)),
        "dataset": Kind("/v1beta/datasets", register, listed("/v1beta/datasets")),
        "job": Kind(f"{BENCHMARK}/jobs", {"benchmark_config": model()}, listed(f"{BENCHMARK}/jobs")),
        "evaluation": Kind(f"{BENCHMARK}/evaluations", evaluation, evaluations),
        "scores": Kind("/v1/scoring/score-batch", scores, listed("/v1beta/datasets")),
        "spans": Kind("/v1alpha/telemetry/spans/export", export, rows_of("spans", 5)),
    }


def listed(path: str) -> Callable[[httpx.Client], int]:
    return lambda http: len(http.get(path).raise_for_status().json()["data"])


def rows_of(dataset_id: str, each: int) -> Callable[[httpx.Client], int]:
    """How often `each` rows were added."""

    def count(http: httpx.Client) -> int:
        found = http.get(f"/v1beta/datasetio/iterrows/{dataset_id}")
        return len(found.json()["data"]) // each if found.status_code == 200 else 0

    return count


def ahead(hours: float) -> dict[str, str]:
    return {"TEST_CLOCK_AHEAD_S": str(hours * HOUR_S)}


def done_once(http: httpx.Client, kind: Kind, headers: dict[str, str]) -> None:
    """Posts it twice; it has to be done exactly once, by the first, with the same answer."""
    before, headers = kind.count(http), headers | {"prefer": "wait=50"}
    first = http.post(kind.path, json=kind.body, headers=headers)
    assert (first.status_code, kind.count(http)) == (200, before + 1), first.text
    again = http.post(kind.path, json=kind.body, headers=headers)
    assert (again.status_code, kind.count(http)) == (200, before + 1), again.text
    assert again.content.replace(b": \n", b"") == first.content.replace(b": \n", b"")


def test_an_expired_key_is_a_new_request(fresh_server: FreshServer, scripted: RunningServer) -> None:
    server = fresh_server()
    with server.http() as http:
        kinds = prepared(http, scripted)
        for name, kind in kinds.items():
            done_once(http, kind, {"idempotency-key": name})
    server.kill9()
    for hours in (25, 50, 75):
        server = fresh_server(environment=ahead(hours))
        with server.http() as http:
            for name, kind in kinds.items():
                done_once(http, kind, {"idempotency-key": name})
        server.check_healthy()
        server.stop()


def test_a_key_is_kept_over_a_restart_for_a_day(fresh_server: FreshServer, scripted: RunningServer) -> None:
    server = fresh_server()
    with server.http() as http:
        kinds = prepared(http, scripted)
        for name, kind in kinds.items():
            done_once(http, kind, {"idempotency-key": name})
        counts = {name: kind.count(http) for name, kind in kinds.items()}
    server.stop()
    # The clock goes on, and it is set back by a year.
    for hours in (23, -365 * 24):
        server = fresh_server(environment=ahead(hours))
        with server.http() as http:
            for name, kind in kinds.items():
                answer = http.post(kind.path, json=kind.body, headers={"idempotency-key": name})
                assert answer.status_code == 200, answer.text
            assert {name: kind.count(http) for name, kind in kinds.items()} == counts
        server.stop()


def test_a_retry_after_ten_minutes_is_a_new_request(
    fresh_server: FreshServer, scripted: RunningServer
) -> None:
    server = fresh_server()
    with server.http() as http:
        kinds = prepared(http, scripted)
        for kind in kinds.values():
            done_once(http, kind, RETRY)
    server.stop()
    server = fresh_server(environment=ahead(0.5))
    with server.http() as http:
        for kind in kinds.values():
            before = kind.count(http)
            answer = http.post(kind.path, json=kind.body, headers=RETRY)
            assert (answer.status_code, kind.count(http)) == (200, before + 1), answer.text


def test_an_expired_key_of_a_resume_is_a_new_request(fresh_server: FreshServer) -> None:
    """The turn no longer awaits anything, so the new request is refused; the turn is not changed."""
    server = fresh_server()
    with server.http() as http:
        conversation = weather_man(Api(http))
        turn_id = waiting(conversation)["turn_id"]
        resumed = conversation.resume(turn_id, rain(), headers=KEY)
        assert resumed.status_code == 200
        assert conversation.resume(turn_id, rain(), headers=KEY).content == resumed.content
    server.stop()
    with fresh_server(environment=ahead(25)).http() as http:
        path = f"{conversation.path}/turn/{turn_id}"
        answer = http.post(f"{path}/resume", json={"tool_responses": [rain()]}, headers=KEY)
        assert answer.status_code == 409
        assert http.get(path).json() == resumed.json()
