"""OTLP/JSON lines: what is exported is what the collector writes, and what others record becomes sessions."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util.genai.handler import TelemetryHandler
from opentelemetry.util.genai.types import (
    InputMessage,
    OutputMessage,
    Text,
    ToolCallRequest,
    ToolCallResponse,
)

from stack.errors import Invalid
from stack.services.replay.formats import otlp, otlp_import
from stack.services.replay.imported_session import Imported, record_of
from stack.services.replay.session_record import SessionRecord
from tests.services.recorded_sessions import (
    DIGEST,
    NOW,
    conversation,
    record_with,
    session_records,
    states_of,
    turn,
)
from tests.services.test_atif import ANSWERED, ASKED, FOUND, refused
from tests.telemetry.otlp_json_form import as_json


def decoded(line: bytes) -> ExportTraceServiceRequest:
    """Decodes a line with the OpenTelemetry project's own messages, which know no other field. Protobuf's JSON has ids in
    base64, OTLP's in hex."""
    request = json.loads(line)
    for resource_spans in request["resourceSpans"]:
        for scope_spans in resource_spans["scopeSpans"]:
            for span in scope_spans["spans"]:
                for name in ("traceId", "spanId", "parentSpanId"):
                    if name in span:
                        span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
    return json_format.ParseDict(request, ExportTraceServiceRequest())


def spans_of(lines: list[bytes]) -> list[tuple[Any, dict[str, Any]]]:
    """Returns spans with their attributes."""
    return [
        (span, {one.key: json_format.MessageToDict(one.value) for one in span.attributes})
        for line in lines
        for resource_spans in decoded(line).resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]


def read(lines: bytes) -> SessionRecord:
    (imported,) = otlp_import.read(lines)
    return record_of(imported, "otlp", DIGEST, NOW)


def test_a_turn_is_a_span_with_its_inferences_and_tools_below() -> None:
    record = record_with(turn("2+2?", ASKED, FOUND, ANSWERED))
    lines = list(otlp.export(record))
    assert [line.count(b"\n") for line in lines] == [1]
    spans = spans_of(lines)
    assert [(span.name, span.kind) for span, _ in spans] == [
        ("invoke_agent helper", 1),
        ("chat a", 3),
        ("execute_tool search", 1),
        ("chat a", 3),
    ]
    root = spans[0][0]
    assert len(root.trace_id) == 16 and root.parent_span_id == b""
    assert all((span.trace_id, span.parent_span_id) == (root.trace_id, root.span_id) for span, _ in spans[1:])
    assert all(names["gen_ai.conversation.id"] == {"stringValue": record.session_id} for _, names in spans)
    assert root.start_time_unix_nano == 1_700_000_000_000_000_000
    chat = spans[3][1]
    assert chat["gen_ai.usage.input_tokens"] == {"intValue": "20"}
    assert json.loads(chat["gen_ai.input.messages"]["stringValue"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "2+2?"}]},
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "Where?"},
                {"type": "text", "content": "I look."},
                {"type": "tool_call", "id": "c1", "name": "search", "arguments": '{"q": 1}'},
            ],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "found"}]},
    ]
    assert json.loads(chat["gen_ai.output.messages"]["stringValue"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "4"}], "finish_reason": "stop"}
    ]
    assert spans[2][1]["gen_ai.tool.call.result"] == {"stringValue": "found"}


@given(session_records())
@settings(max_examples=30, deadline=None)
def test_imported_again_it_is_the_same_conversation(record: SessionRecord) -> None:
    lines = b"".join(otlp.export(record))
    again = read(lines)
    assert conversation(again) == conversation(record)
    for one, other in zip(states_of(record), states_of(again), strict=True):
        assert (one.status, one.usage) == (other.status, other.usage)
        assert [step.output for step in one.steps] == [step.output for step in other.steps]
        assert [step.tool_responses for step in one.steps] == [
            tuple(type(response)(response.call_id, response.tool_name, response.content, given.metadata)
                  for response, given in zip(step.tool_responses, before.tool_responses, strict=True))
            for step, before in zip(other.steps, one.steps, strict=True)
        ]  # fmt: skip


@pytest.mark.parametrize("touchpoint", ["user-input", "assistant-output"])
def test_what_was_refused_there_is_refused_here(touchpoint: str) -> None:
    lines = b"".join(otlp.export(refused(touchpoint)))
    assert b"SECRET" not in lines
    again = read(lines)
    state = states_of(again)[0]
    assert (state.status, state.output_message.content) == ("completed", "I can't.")
    assert conversation(again) == conversation(refused(touchpoint))


class Recorder:
    """Another program, instrumented with OpenTelemetry's package for GenAI: spans with content."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "span_only")
        monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "gen_ai_latest_experimental")
        self._spans = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self._handler = TelemetryHandler(tracer_provider=provider)
        self.history: list[InputMessage] = []

    def ask(self, *said: InputMessage, answer: list[Any], reason: str = "stop") -> None:
        self.history += said
        with self._handler.inference("openai", request_model="gpt-x") as call:
            call.system_instruction = [Text("Be brief.")]
            call.input_messages = list(self.history)
            call.output_messages = [OutputMessage("assistant", answer, reason)]
            call.input_tokens, call.output_tokens = 7, 3
        self.history.append(InputMessage("assistant", answer))

    def lines(self) -> bytes:
        return b"".join(as_json(encode_spans([span])) + b"\n" for span in self._spans.get_finished_spans())


def test_spans_of_another_program_become_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call has the whole conversation so far in its input, which is in the session once."""
    program = Recorder(monkeypatch)
    call = ToolCallRequest({"q": 1}, "search", "c1")
    program.ask(InputMessage("user", [Text("Hi")]), answer=[Text("Hello")])
    program.ask(InputMessage("user", [Text("2+2?")]), answer=[call], reason="tool_calls")
    program.ask(InputMessage("tool", [ToolCallResponse({"sum": 4}, "c1")]), answer=[Text("4")])
    lines = program.lines()
    traces = otlp_import.read(lines)
    assert len(traces) == 3, "without a conversation id, each trace is a session"
    together = otlp_import.read(with_conversation(lines))
    (imported,) = together
    assert (imported.agent.model, imported.agent.instructions) == ("openai/gpt-x", "Be brief.")
    record = record_of(imported, "otlp", DIGEST, NOW)
    assert [(one["role"], one["content"]) for (one,) in conversation(record)] == [
        ("user", "Hi"),
        ("assistant", "Hello"),
        ("user", "2+2?"),
        ("assistant", ""),
        ("tool", '{"sum":4}'),
        ("assistant", "4"),
    ]
    assert [state.usage.input_tokens for state in states_of(record)] == [7, 14]


def with_conversation(lines: bytes) -> bytes:
    value = {"key": "gen_ai.conversation.id", "value": {"stringValue": "c"}}
    found = []
    for line in lines.splitlines():
        request = json.loads(line)
        request["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"].append(value)
        found.append(json.dumps(request).encode())
    return b"\n".join(found)


def line(*spans: dict[str, Any]) -> bytes:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode() + b"\n"


def span(id: int, operation: str, at: int, parent: int = 0, **values: Any) -> dict[str, Any]:
    names = {"gen_ai.operation.name": operation} | {
        name.replace("__", "."): value for name, value in values.items()
    }
    return {
        "traceId": "a" * 32,
        "spanId": f"{id:016x}",
        "parentSpanId": f"{parent:016x}" if parent else "",
        "name": operation,
        "startTimeUnixNano": str(at * 10**9),
        "endTimeUnixNano": str((at + 1) * 10**9),
        "attributes": [
            {"key": name, "value": {"stringValue": value if isinstance(value, str) else json.dumps(value)}}
            for name, value in names.items()
        ],
    }


def texts(imported: Imported) -> list[tuple[str, Any]]:
    record = record_of(imported, "otlp", DIGEST, NOW)
    return [(one["role"], one["content"]) for (one,) in conversation(record)]


def said(role: str, text: str) -> list[dict[str, Any]]:
    return [{"role": role, "parts": [{"type": "text", "content": text}]}]


def test_an_agent_that_another_one_invoked_is_a_session_of_its_own() -> None:
    found = otlp_import.read(
        line(
            span(1, "invoke_agent", 1, gen_ai__agent__name="outer"),
            span(
                2,
                "chat",
                2,
                1,
                gen_ai__input__messages=said("user", "Q"),
                gen_ai__output__messages=said("assistant", "A"),
            ),
            span(3, "invoke_agent", 4, 1, gen_ai__agent__name="inner"),
            span(
                4,
                "chat",
                5,
                3,
                gen_ai__input__messages=said("user", "q"),
                gen_ai__output__messages=said("assistant", "a"),
            ),
        )
    )
    assert [texts(one) for one in found] == [
        [("user", "Q"), ("assistant", "A")],
        [("user", "q"), ("assistant", "a")],
    ]
    assert [one.agent.name for one in found] == ["outer", "inner"]


def test_what_has_no_place_is_kept() -> None:
    one = span(1, "chat", 1, gen_ai__input__messages=said("user", "Q"), other="x")
    one["events"] = [{"name": "exception", "timeUnixNano": "1"}]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "program"}}]}
    request = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [one]}]}]}
    (imported,) = otlp_import.read(json.dumps(request).encode())
    values = {one["place"]: one["value"] for one in imported.extra["values"]}
    assert values == {
        "line 1.spans.chat": {"name": "chat", "other": "x", "events": one["events"]},
        "line 1.resource": {"service.name": "program"},
    }


def test_results_that_only_tool_spans_have_are_read() -> None:
    call = [{"role": "assistant", "parts": [{"type": "tool_call", "id": "c", "name": "f", "arguments": {}}]}]
    (imported,) = otlp_import.read(
        line(
            span(1, "chat", 1, gen_ai__input__messages=said("user", "Q"), gen_ai__output__messages=call),
            span(2, "execute_tool", 3, gen_ai__tool__call__id="c", gen_ai__tool__call__result="four"),
        )
    )
    assert texts(imported)[-1] == ("tool", "four")


def test_a_conversation_that_asks_again_has_its_question_twice() -> None:
    lines = line(
        span(1, "invoke_agent", 1),
        span(2, "chat", 2, 1, gen_ai__input__messages=said("user", "Q")),
        span(3, "invoke_agent", 4),
        span(4, "chat", 5, 3, gen_ai__input__messages=said("user", "Q"), gen_ai__output__messages=said("assistant", "A")),
    )  # fmt: skip
    (imported,) = otlp_import.read(lines)
    assert [one.status for one in imported.turns] == ["cancelled", "completed"]
    assert texts(imported) == [("user", "Q"), ("assistant", "A")]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "The file is empty"),
        (b"not JSON\n", "Line 1 is not JSON"),
        (b'{"a": 1}\n', "Line 1 is not OTLP/JSON"),
        (b'{"resourceLogs": []}\n', "1 lines are other signals"),
        (line(span(1, "chat", 1))[:-30], "It is the last line and may be cut off"),
        (line(span(1, "GET", 1)), "None of the 1 spans is a model call"),
        (line(span(1, "chat", 1)), "but none with messages"),
        (line({"name": "x"}), "a span without traceId or spanId"),
    ],
)
def test_a_file_that_cannot_be_imported_says_why(data: bytes, problem: str) -> None:
    with pytest.raises(Invalid) as raised:
        otlp_import.read(data)
    assert problem in raised.value.detail
