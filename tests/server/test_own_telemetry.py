"""The server's own telemetry in its own store: available to every query at once, and only if it is
enabled."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.api import TEXT, Api, Conversation
from tests.server.process import Replaystack
from tests.server.telemetry import Telemetry, where
from tests.servers.processes import RunningServer
from tests.telemetry.collector import collecting

pytestmark = pytest.mark.slow

TOOL = {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}
HELLO = [{"role": "user", "content": "Hello"}]


class Own:
    """A server, its API and its telemetry."""

    def __init__(self, server: Replaystack, http: Any) -> None:
        self.server = server
        self.api = Api(http)
        self.telemetry = Telemetry(http)

    def spans(self, trace_id: str) -> dict[str, dict[str, Any]]:
        return {span["name"]: span for span in self.telemetry.trace_spans(trace_id)}

    def total(self, name: str, model: str = TEXT) -> float:
        """The sum of a metric for a model over the last hour."""
        now = int(time.time())
        series = self.telemetry.metric(
            name,
            start_time=now - 3600,
            end_time=now + 1,
            query_type="instant",
            label_matchers=[{"name": "model_id", "value": model, "operator": "="}],
        )
        return sum(float(one["values"][-1]["value"]) for one in series if one["values"])


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, scripted_server: RunningServer) -> Iterator[Own]:
    data = tmp_path_factory.mktemp("own") / "data"
    with Replaystack(data, model_url=scripted_server.base_url) as server, server.http() as http:
        yield Own(server, http)
        server.check_healthy()
    assert '"level":"error"' not in server.log, server.log


def test_a_turn_is_there_when_its_answer_is(own: Own) -> None:
    conversation = own.api.conversation(name="Ada")
    for _ in range(5):
        answer = conversation.post()
        spans = own.spans(answer.headers["x-trace-id"])
        route = "POST /v1alpha/agents/{agent_id}/session/{session_id}/turn"
        assert set(spans) == {route, "invoke_agent Ada", "chat text;chunks=3"}
        assert spans["invoke_agent Ada"]["parent_span_id"] == spans[route]["span_id"]
        assert spans["chat text;chunks=3"]["attributes"]["gen_ai.usage.output_tokens"] == 3


def test_existing_filters_find_it(own: Own) -> None:
    conversation = own.api.conversation("scripted/tools", client_tools=[TOOL])
    turn = conversation.turn()
    response = {"call_id": "call_0", "tool_name": "look", "content": "Seen."}
    resumed = conversation.resume(turn["turn_id"], response)
    step = next(one for one in resumed.json()["steps"] if one["step_type"] == "tool_execution")
    trace_id = resumed.headers["x-trace-id"]
    for key, value, traces in (
        ("session_id", conversation.session_id, 2),
        ("turn_id", turn["turn_id"], 2),
        ("step_id", step["step_id"], 1),
        ("gen_ai.tool.call.id", "call_0", 1),
    ):
        found = own.telemetry.traces(where(key, "eq", value), where("agent_id", "eq", conversation.agent_id))
        assert len(found) == traces and trace_id in {one["trace_id"] for one in found}, key
    roots = own.telemetry.spans(
        where("__root__", "eq", True), where("session_id", "eq", conversation.session_id)
    )
    assert {span["name"].split(" ")[0] for span in roots} == {"POST"}


def test_looking_at_traces_makes_none(own: Own) -> None:
    before = len(own.telemetry.traces(limit=-1))
    for _ in range(3):
        own.telemetry.traces()
        own.api.http.get("/v1/health").raise_for_status()
    assert len(own.telemetry.traces(limit=-1)) == before


def test_tokens_are_counted_at_once_and_once(own: Own) -> None:
    before = {name: own.total(name) for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
    own.api.conversation(TEXT).turn()
    own.api.http.post("/v1/chat/completions", json={"model": TEXT, "messages": HELLO}).raise_for_status()
    after = {name: own.total(name) for name in before}
    assert {name: after[name] - before[name] for name in before} == {
        "prompt_tokens": 14,
        "completion_tokens": 6,
        "total_tokens": 20,
    }
    assert {name: own.total(name) for name in before} == after


def test_histograms_of_tokens_and_durations(own: Own) -> None:
    own.api.conversation(TEXT).turn()
    now = int(time.time())
    asked = {"start_time": now - 3600, "end_time": now + 1, "query_type": "instant"}
    for name in (
        "gen_ai.client.inference.operation.input_tokens_count",
        "gen_ai.client.inference.usage.output_tokens",
        "gen_ai.client.inference.duration_sum",
        "gen_ai.client.inference.time_to_first_chunk_count",
        "gen_ai.invoke_agent.duration_sum",
        "gen_ai.invoke_agent.inference_calls_sum",
    ):
        assert own.telemetry.metric(name, **asked), name
    assert not own.telemetry.metric("gen_ai.client.token.usage_count", **asked)


def test_tools_of_an_agent(own: Own) -> None:
    tool = {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}
    conversation = own.api.conversation("scripted/tools", name="watchman", client_tools=[tool])
    turn_id = conversation.turn()["turn_id"]
    response = {"call_id": "call_0", "tool_name": "look", "content": "seen"}
    conversation.resume(turn_id, response).raise_for_status()
    now = int(time.time())
    asked = {"start_time": now - 3600, "end_time": now + 1, "query_type": "instant"}
    of_agent = {"name": "gen_ai.agent.name", "operator": "=", "value": "watchman"}

    def value(name: str) -> float:
        [series] = own.telemetry.metric(name, label_matchers=[of_agent], **asked)
        return float(series["values"][-1]["value"])

    # The turn was run twice: until the call was handed out, and from its result on.
    assert value("gen_ai.invoke_agent.duration_count") == 2
    assert value("gen_ai.invoke_agent.inference_calls_sum") == 2
    assert value("gen_ai.invoke_agent.tool_calls_sum") == 1
    assert value("gen_ai.execute_tool.duration_count") == 1
    assert value("gen_ai.execute_tool.duration_sum") > 0


def test_it_outlives_a_stop_and_a_crash(tmp_path: Path, scripted: RunningServer) -> None:
    server = Replaystack(tmp_path / "data", model_url=scripted.base_url)
    with server:
        with server.http() as http:
            conversation = Api(http).conversation()
            trace_id = conversation.post().headers["x-trace-id"]
        server.restart()  # No one asked before the stop.
        with server.http() as http:
            assert len(Telemetry(http).trace_spans(trace_id)) == 3
            again = Conversation(Api(http), conversation.agent_id, conversation.session_id)
            second = again.post().headers["x-trace-id"]
            assert len(Telemetry(http).trace_spans(second)) == 3
        server.kill9()
        server.start()
        with server.http() as http:
            for one in (trace_id, second):
                assert len(Telemetry(http).trace_spans(one)) == 3


@pytest.mark.parametrize("off", ["setting", "OTEL_SDK_DISABLED", "OTEL_TRACES_SAMPLER"])
def test_where_it_is_not_wanted_there_is_none(tmp_path: Path, scripted: RunningServer, off: str) -> None:
    environment = {"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_SAMPLER": "always_off"}
    server = Replaystack(
        tmp_path / "data",
        model_url=scripted.base_url,
        settings={"own_telemetry": False} if off == "setting" else {},
        environment={off: environment[off]} if off != "setting" else {},
    )
    with server, server.http() as http:
        own = Own(server, http)
        answer = own.api.conversation().post()
        assert answer.status_code == 200 and len(answer.headers["x-trace-id"]) == 32
        assert own.telemetry.traces() == []
        assert bool(own.total("prompt_tokens")) is (off == "OTEL_TRACES_SAMPLER")


def test_a_collector_beside_the_store_gets_the_same(tmp_path: Path, scripted: RunningServer) -> None:
    with collecting() as collector:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        server = Replaystack(tmp_path / "data", model_url=scripted.base_url, environment=environment)
        with server, server.http() as http:
            answer = Api(http).conversation().post()
            stored = {span["span_id"] for span in Telemetry(http).trace_spans(answer.headers["x-trace-id"])}
        sent = {
            span.span_id.hex()
            for span in collector.spans
            if span.trace_id.hex() == answer.headers["x-trace-id"]
        }
        assert sent == stored and len(stored) == 3


def test_a_server_that_is_its_own_collector_keeps_each_span_once(
    tmp_path: Path, scripted: RunningServer
) -> None:
    server = Replaystack(tmp_path / "data", model_url=scripted.base_url)
    with server:
        url = server.url
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "50"}
    sending = Replaystack(
        tmp_path / "data",
        model_url=scripted.base_url,
        settings={"port": int(url.rpartition(":")[2])},
        environment=environment,
    )
    with sending, sending.http() as http:
        answer = Api(http).conversation().post()
        time.sleep(0.5)
        spans = Telemetry(http).trace_spans(answer.headers["x-trace-id"])
        assert len(spans) == len({span["span_id"] for span in spans}) == 3
        count = len(Telemetry(http).traces(limit=-1))
        time.sleep(0.5)
        assert len(Telemetry(http).traces(limit=-1)) == count
