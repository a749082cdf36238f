"""The server's signals about itself, as received by an external collector from the standard variables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.server.api import TEXT, Api, Conversation
from tests.server.process import Replaystack, wait_until
from tests.servers.processes import RunningServer
from tests.telemetry.collector import Collector, collecting, plain

pytestmark = pytest.mark.slow

TOOL = {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}


class Watched:
    """A server and the collector of its signals."""

    def __init__(self, server: Replaystack, collector: Collector, api: Api) -> None:
        self.server = server
        self.collector = collector
        self.api = api

    def trace(self, trace_id: str, spans: int) -> dict[str, Span]:
        """The spans of a trace by name, once there are that many."""

        def found() -> list[Span]:
            own = [span for span in self.collector.spans if span.trace_id.hex() == trace_id]
            return own if len(own) >= spans else []

        by_name = {span.name: span for span in wait_until(found)}
        assert len(by_name) == spans, list(by_name)
        return by_name


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, scripted_server: RunningServer) -> Iterator[Watched]:
    with collecting() as collector:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "OTEL_METRIC_EXPORT_INTERVAL": "200",
        }
        data = tmp_path_factory.mktemp("watched") / "data"
        with (
            Replaystack(data, model_url=scripted_server.base_url, environment=environment) as server,
            server.http() as client,
        ):
            yield Watched(server, collector, Api(client))
            server.check_healthy()
        assert '"level":"error"' not in server.log, server.log


def parent(span: Span) -> str:
    return span.parent_span_id.hex()


def test_a_turn(watched: Watched) -> None:
    conversation = watched.api.conversation(
        name="Ada", sampling_params={"strategy": {"type": "greedy"}, "max_tokens": 20}
    )
    answer = conversation.post()
    turn = answer.json()
    spans = watched.trace(answer.headers["x-trace-id"], 3)
    route = "POST /v1alpha/agents/{agent_id}/session/{session_id}/turn"
    request, agent, chat = spans[route], spans["invoke_agent Ada"], spans["chat text;chunks=3"]
    assert (parent(request), parent(agent), parent(chat)) == ("", request.span_id.hex(), agent.span_id.hex())
    assert (request.kind, agent.kind, chat.kind) == (
        Span.SPAN_KIND_SERVER,
        Span.SPAN_KIND_INTERNAL,
        Span.SPAN_KIND_CLIENT,
    )
    place = {"session_id": conversation.session_id, "agent_id": conversation.agent_id}
    assert plain(request.attributes) == place | {
        "__root__": True,
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": route[5:],
        "url.path": conversation.path + "/turn",
        "url.scheme": "http",
    }
    labels = place | {"turn_id": turn["turn_id"], "gen_ai.conversation.id": conversation.session_id}
    assert plain(agent.attributes) == labels | {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "scripted",
        "gen_ai.request.model": TEXT,
        "gen_ai.agent.id": conversation.agent_id,
        "gen_ai.agent.name": "Ada",
        "gen_ai.agent.version": "1",
    }
    said = plain(chat.attributes)
    assert 0 < said.pop("gen_ai.response.time_to_first_chunk") < 10
    assert said == labels | {
        "step_id": turn["steps"][0]["step_id"],
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "scripted",
        "gen_ai.request.model": "text;chunks=3",
        "gen_ai.request.stream": True,
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.max_tokens": 20,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.response.id": "chatcmpl-scripted",
        "gen_ai.response.model": "scripted",
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
        "server.address": "127.0.0.1",
        "server.port": said["server.port"],
    }


def test_a_callers_trace_goes_through_a_turn_into_the_model_server(
    watched: Watched, scripted: RunningServer
) -> None:
    conversation = watched.api.conversation()
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    caller = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01", "tracestate": "vendor=1,other=2"}
    assert conversation.post(headers=caller).headers["x-trace-id"] == trace_id
    spans = watched.trace(trace_id, 3)
    headers = scripted.requests()[-1]["headers"]
    assert headers["traceparent"] == f"00-{trace_id}-{spans['chat text;chunks=3'].span_id.hex()}-01"
    assert headers["tracestate"] == "vendor=1,other=2"


def test_a_resume_shows_what_it_brought(watched: Watched) -> None:
    conversation = watched.api.conversation("scripted/tools", client_tools=[TOOL])
    turn = conversation.turn()
    response = {"call_id": "call_0", "tool_name": "look", "content": "A secret that was seen."}
    answer = conversation.resume(turn["turn_id"], response)
    spans = watched.trace(answer.headers["x-trace-id"], 4)
    tool, agent = spans["execute_tool look"], spans[f"invoke_agent {conversation.agent_id}"]
    assert parent(tool) == agent.span_id.hex() == parent(spans["chat tools"])
    step = next(one for one in answer.json()["steps"] if one["step_type"] == "tool_execution")
    assert plain(tool.attributes) == {
        "session_id": conversation.session_id,
        "agent_id": conversation.agent_id,
        "turn_id": turn["turn_id"],
        "step_id": step["step_id"],
        "gen_ai.conversation.id": conversation.session_id,
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "look",
        "gen_ai.tool.call.id": "call_0",
        "gen_ai.tool.type": "function",
    }
    assert tool.status.code == Status.STATUS_CODE_UNSET
    assert not any("secret" in str(span) for span in watched.collector.spans)


def test_a_call_that_nobody_can_run(watched: Watched) -> None:
    conversation = watched.api.conversation("scripted/tools;name=absent", client_tools=[TOOL])
    answer = conversation.post()
    spans = watched.trace(answer.headers["x-trace-id"], 4)
    tool = spans["execute_tool absent"]
    assert tool.status.code == Status.STATUS_CODE_ERROR
    assert plain(tool.attributes)["error.type"] == "not_executed"


def test_a_failure(watched: Watched) -> None:
    conversation = watched.api.conversation("scripted/drop", name="Bo")
    answer = conversation.post()
    assert answer.status_code == 502
    spans = watched.trace(answer.headers["x-trace-id"], 3)
    for name, error in (("invoke_agent Bo", "502"), ("chat drop", "UpstreamFailed")):
        assert spans[name].status.code == Status.STATUS_CODE_ERROR
        assert plain(spans[name].attributes)["error.type"] == error


def test_a_chat_completion_in_the_trace_of_its_caller(watched: Watched, scripted: RunningServer) -> None:
    trace_id = "5bf92f3577b34da6a3ce929d0e0e4736"
    body = {"model": TEXT, "messages": [{"role": "user", "content": "Hello"}]}
    caller = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
    watched.api.http.post("/v1/chat/completions", json=body, headers=caller).raise_for_status()
    spans = watched.trace(trace_id, 2)
    request, chat = spans["POST /v1/chat/completions"], spans["chat text;chunks=3"]
    assert (parent(request), parent(chat)) == ("00f067aa0ba902b7", request.span_id.hex())
    upstream = scripted.requests()[-1]["headers"]["traceparent"]
    assert upstream == f"00-{trace_id}-{chat.span_id.hex()}-01"


def test_telemetry_and_probes_make_no_spans(watched: Watched) -> None:
    for path in ("/v1/health", "/schema/openapi.json"):
        watched.api.http.get(path).raise_for_status()
    last = watched.api.http.get("/v1/version").headers["x-trace-id"]
    watched.trace(last, 1)
    paths = {plain(span.attributes).get("url.path") for span in watched.collector.spans}
    assert not paths & {"/v1/health", "/schema/openapi.json", "/admin/state"}


def test_metrics(watched: Watched) -> None:
    watched.api.conversation(TEXT).turn()
    names = {
        "gen_ai.client.inference.usage.input_tokens",
        "gen_ai.client.inference.usage.output_tokens",
        "gen_ai.client.inference.operation.output_tokens",
        "gen_ai.client.inference.duration",
        "gen_ai.invoke_agent.duration",
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
    }
    wait_until(lambda: names <= {metric.name for metric in watched.collector.metrics})
    last = {metric.name: metric for metric in watched.collector.metrics}
    model = {"gen_ai.request.model": "text;chunks=3", "gen_ai.provider.name": "scripted"}
    used = last["gen_ai.client.inference.usage.input_tokens"].sum
    assert used.is_monotonic
    assert any(model.items() <= plain(point.attributes).items() for point in used.data_points)
    durations = last["gen_ai.client.inference.duration"]
    assert durations.unit == "s"
    assert list(durations.histogram.data_points[0].explicit_bounds)[:3] == [0.01, 0.02, 0.04]
    failed = [plain(one.attributes).get("error.type") for one in durations.histogram.data_points]
    assert None in failed
    labels = {"model_id": TEXT, "provider_id": "scripted"}
    totals = {
        name: sum(point.as_int for point in last[name].sum.data_points if plain(point.attributes) == labels)
        for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    }
    assert totals["total_tokens"] == totals["prompt_tokens"] + totals["completion_tokens"] >= 10
    assert last["prompt_tokens"].sum.is_monotonic


def test_a_turn_taken_up_after_a_crash_begins_a_trace(tmp_path: Path, scripted: RunningServer) -> None:
    with collecting() as collector:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}
        server = Replaystack(tmp_path / "data", model_url=scripted.base_url, environment=environment)
        with server:
            with server.http() as client:
                conversation = Api(client).conversation("scripted/stall;chunks=2;times=1")
                with conversation.streaming() as stream:
                    stream.until("step_progress")
                    server.kill9()
            server.start()
            with server.http() as client:
                again = Conversation(Api(client), conversation.agent_id, conversation.session_id)
                wait_until(lambda: again.outcome(again.only_turn_id())["status"] == "completed")
            name = f"invoke_agent {conversation.agent_id}"
            [span] = wait_until(lambda: collector.named(name))
            assert plain(span.attributes)["__root__"] is True and not span.parent_span_id


@pytest.mark.parametrize("captured", ["true", ""])
def test_messages_only_where_that_is_switched_on(
    tmp_path: Path, scripted: RunningServer, captured: str
) -> None:
    with collecting() as collector:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": captured,
        }
        with (
            Replaystack(tmp_path / "data", model_url=scripted.base_url, environment=environment) as server,
            server.http() as client,
        ):
            conversation = Api(client).conversation("scripted/tools", client_tools=[TOOL])
            turn = conversation.turn("The question.")
            conversation.resume(
                turn["turn_id"], {"call_id": "call_0", "tool_name": "look", "content": "The moon."}
            )
        [first, second] = [plain(span.attributes) for span in collector.named("chat tools")]
        [tool] = [plain(span.attributes) for span in collector.named("execute_tool look")]
        if not captured:
            assert "question" not in str(collector.spans) and "moon" not in str(collector.spans)
            return
        question: Any = {"role": "user", "parts": [{"type": "text", "content": "The question."}]}
        assert question in json.loads(first["gen_ai.input.messages"])
        [called] = json.loads(first["gen_ai.output.messages"])
        call = {"type": "tool_call", "id": "call_0", "name": "look", "arguments": "{}"}
        assert called == {"role": "assistant", "parts": [call], "finish_reason": "tool_calls"}
        assert tool["gen_ai.tool.call.result"] == "The moon."
        seen = json.loads(second["gen_ai.input.messages"])[-1]
        assert seen == {
            "role": "tool",
            "parts": [{"type": "tool_call_response", "id": "call_0", "response": "The moon."}],
        }
