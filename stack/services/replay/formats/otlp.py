"""OTLP/JSON lines, as the OpenTelemetry collector's file exporter writes them: one request with the spans of a turn on each
line, by the GenAI semantic conventions.

A turn is a span `invoke_agent` with a span `chat` for each inference and `execute_tool` for each call. The input of a
`chat` span has the messages of its turn; those of earlier turns are on their spans, with the same conversation id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from schemas.events.payload import CompletionMessage, Content
from schemas.events.payload import ToolResponse as Response
from stack.services.replay.exported_turns import ExportedStep, ExportedTurn, exported_turns
from stack.services.replay.formats.content import image_uri, items_of
from stack.services.replay.session_record import SessionRecord
from stack.services.turns.chat_message import LOST_IMAGE
from telemetry.own import conventions as names
from telemetry.own.message_content import message_parts

SERVICE = "replaystack"
STATUS = "replaystack.turn.status"
"""Not part of the conventions: completed, failed, cancelled, abandoned, or that of an open turn."""
REFUSED = "replaystack.turn.refused"
"""Not part of the conventions: the touchpoint of the text that a shield refused."""
FINISH_REASONS = {"end_of_turn": "stop", "end_of_message": "tool_calls", "out_of_tokens": "length"}

INTERNAL, CLIENT = 1, 3
ERROR = 2

_encode = msgspec.json.Encoder().encode
Message = dict[str, Any]
Span = dict[str, Any]


def export(record: SessionRecord) -> Iterator[bytes]:
    """Yields a line for each turn. Raises ContentDamaged."""
    resource = {"attributes": _attributes({"service.name": SERVICE})}
    for turn in exported_turns(record):
        spans = _Spans(record, turn).all()
        scope_spans = [{"scope": {"name": SERVICE}, "spans": spans}]
        yield _encode({"resourceSpans": [{"resource": resource, "scopeSpans": scope_spans}]}) + b"\n"


class _Spans:
    """The spans of one turn."""

    def __init__(self, record: SessionRecord, turn: ExportedTurn) -> None:
        self._turn = turn
        state = turn.state
        self._trace_id = state.trace_id if _is_trace_id(state.trace_id) else _digest(turn.turn_id, 16)
        self._root = _digest(f"{turn.turn_id} turn", 8)
        provider, named, model = turn.agent.model.partition("/")
        self._labels = {
            names.GEN_AI_PROVIDER_NAME: provider if named else "replaystack",
            names.GEN_AI_CONVERSATION_ID: record.session_id,
            names.GEN_AI_AGENT_ID: state.agent_id or record.agent_id,
            names.GEN_AI_AGENT_NAME: turn.agent.name or None,
            "turn_id": turn.turn_id,
        }
        self._model = model if named else provider

    def all(self) -> list[Span]:
        state, agent = self._turn.state, self._turn.agent
        said = [
            _message("user", message_parts(_decoded(one), with_files=True), one)
            for one in self._turn.questions
        ]
        spans = [
            self._turn_span(
                agent.instructions, said or [_posted(one.content) for one in state.input_messages]
            )
        ]
        input: list[Message] = list(said)
        for exported in self._turn.steps:
            step = exported.step
            if step.step_type == "inference" and step.output is not None:
                answer = _answer(step.output, exported.reasoning)
                spans.append(self._chat(exported, step.output, input, answer))
                input.append(answer)
            elif step.step_type == "tool_execution":
                spans += self._tools(exported)
                responses = [_response(one) for one in step.tool_responses]
                input += [{"role": "tool", "parts": [part]} for part in responses]
            elif step.step_type == "memory_retrieval" and step.inserted_context is not None:
                spans.append(self._retrieval(exported, step.inserted_context))
        return spans

    def _turn_span(self, instructions: str, said: Sequence[Message]) -> Span:
        state = self._turn.state
        output = state.output_message
        attributes = {
            names.GEN_AI_OPERATION_NAME: names.INVOKE_AGENT,
            names.GEN_AI_REQUEST_MODEL: self._model,
            names.GEN_AI_SYSTEM_INSTRUCTIONS: _json([_text(instructions)]) if instructions else None,
            names.GEN_AI_INPUT_MESSAGES: _json(said),
            names.GEN_AI_OUTPUT_MESSAGES: _json([_finished(_answer(output, ""), output)])
            if output.content
            else None,
            names.GEN_AI_TOOL_DEFINITIONS: _json([_definition(tool) for tool in self._turn.tools]) or None,
            names.GEN_AI_USAGE_INPUT_TOKENS: state.usage.input_tokens,
            names.GEN_AI_USAGE_OUTPUT_TOKENS: state.usage.output_tokens,
            STATUS: state.status,
            REFUSED: self._turn.refused or None,
        }
        name = f"{names.INVOKE_AGENT} {self._turn.agent.name or state.agent_id}"
        span = self._span("turn", name, INTERNAL, state.started_at, state.completed_at, attributes)
        del span["parentSpanId"]
        span["spanId"] = self._root
        if state.error is not None:
            span["status"] = {"code": ERROR, "message": state.error.detail}
            span["attributes"] += _attributes({names.ERROR_TYPE: str(state.error.status)})
        return span

    def _chat(
        self, exported: ExportedStep, output: CompletionMessage, input: Sequence[Message], answer: Message
    ) -> Span:
        usage = exported.usage
        model = exported.model.partition("/")[2] or exported.model or self._model
        finish = FINISH_REASONS.get(output.stop_reason, output.stop_reason)
        attributes = {
            names.GEN_AI_OPERATION_NAME: names.CHAT,
            names.GEN_AI_REQUEST_MODEL: model,
            names.GEN_AI_RESPONSE_MODEL: exported.response_model or None,
            names.GEN_AI_RESPONSE_ID: exported.response_id or None,
            names.GEN_AI_RESPONSE_FINISH_REASONS: [finish],
            names.GEN_AI_USAGE_INPUT_TOKENS: usage.input_tokens if usage is not None else None,
            names.GEN_AI_USAGE_OUTPUT_TOKENS: usage.output_tokens if usage is not None else None,
            names.GEN_AI_INPUT_MESSAGES: _json(list(input)),
            names.GEN_AI_OUTPUT_MESSAGES: _json([_finished(answer, output)]),
        }
        step = exported.step
        return self._span(
            step.step_id, f"{names.CHAT} {model}", CLIENT, step.started_at, step.completed_at, attributes
        )

    def _tools(self, exported: ExportedStep) -> Iterator[Span]:
        step = exported.step
        responses = {one.call_id: one for one in step.tool_responses}
        for call in step.tool_calls:
            response = responses.get(call.call_id)
            attributes = {
                names.GEN_AI_OPERATION_NAME: names.EXECUTE_TOOL,
                names.GEN_AI_TOOL_NAME: call.tool_name,
                names.GEN_AI_TOOL_TYPE: "function",
                names.GEN_AI_TOOL_CALL_ID: call.call_id,
                names.GEN_AI_TOOL_CALL_ARGUMENTS: call.arguments,
                names.GEN_AI_TOOL_CALL_RESULT: _result_text(response) if response is not None else None,
            }
            name = f"{names.EXECUTE_TOOL} {call.tool_name}"
            id = f"{step.step_id} {call.call_id}"
            yield self._span(id, name, INTERNAL, step.started_at, step.completed_at, attributes)

    def _retrieval(self, exported: ExportedStep, content: Content) -> Span:
        step = exported.step
        attributes = {
            names.GEN_AI_OPERATION_NAME: names.RETRIEVAL,
            names.GEN_AI_RETRIEVAL_DOCUMENTS: _json(parts_of(content)),
        }
        return self._span(
            step.step_id, names.RETRIEVAL, CLIENT, step.started_at, step.completed_at, attributes
        )

    def _span(
        self, id: str, name: str, kind: int, began_at: int, ended_at: int, attributes: Mapping[str, Any]
    ) -> Span:
        """Times are microseconds since 1970. Attributes that are None are left out."""
        return {
            "traceId": self._trace_id,
            "spanId": _digest(f"{self._turn.turn_id} {id}", 8),
            "parentSpanId": self._root,
            "name": name,
            "kind": kind,
            "startTimeUnixNano": str(began_at * 1000),
            "endTimeUnixNano": str((ended_at or began_at) * 1000),
            "attributes": _attributes({**self._labels, **attributes}),
            "status": {},
        }


def parts_of(content: Content) -> list[dict[str, Any]]:
    """Returns content as parts of a message."""
    parts: list[dict[str, Any]] = []
    for item in items_of(content):
        if item.image is None:
            parts.append(_text(item.text if item.text is not None else LOST_IMAGE))
            continue
        uri, media_type = image_uri(item.image)
        image = {"modality": "image", "mime_type": media_type}
        if uri.startswith("data:"):
            parts.append({"type": "blob", **image, "content": uri.partition(",")[2]})
        else:
            parts.append({"type": "uri", **image, "uri": uri})
    return parts


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "content": text}


def _posted(content: Content) -> Message:
    return {"role": "user", "parts": parts_of(content)}


def _message(role: str, parts: list[dict[str, Any]], encoded: bytes) -> Message:
    return {"role": str(_decoded(encoded).get("role", role)), "parts": parts}


def _decoded(message: bytes) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(message)
    return found


def _answer(output: CompletionMessage, reasoning: str) -> Message:
    parts: list[dict[str, Any]] = [{"type": "reasoning", "content": reasoning}] if reasoning else []
    parts += parts_of(output.content) if output.content else []
    parts += [
        {"type": "tool_call", "id": call.call_id, "name": call.tool_name, "arguments": call.arguments}
        for call in output.tool_calls or ()
    ]
    return {"role": "assistant", "parts": parts}


def _finished(answer: Message, output: CompletionMessage) -> Message:
    return {**answer, "finish_reason": FINISH_REASONS.get(output.stop_reason, output.stop_reason)}


def _response(response: Response) -> dict[str, Any]:
    content = response.content
    return {
        "type": "tool_call_response",
        "id": response.call_id,
        "response": content if isinstance(content, str) else parts_of(content),
    }


def _result_text(response: Response) -> str:
    content = response.content
    return content if isinstance(content, str) else _json(parts_of(content)) or ""


def _definition(tool: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "function", **tool["function"]}


def _json(value: Sequence[Any]) -> str | None:
    """Returns a list as JSON text; None if it is empty."""
    return _encode(value).decode() if value else None


def _attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items() if value is not None]


def _value(value: str | int | Iterable[str]) -> dict[str, Any]:
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"arrayValue": {"values": [{"stringValue": one} for one in value]}}


def _is_trace_id(text: str) -> bool:
    return len(text) == 32 and all(sign in "0123456789abcdef" for sign in text) and text != "0" * 32


def _digest(text: str, size: int) -> str:
    """Returns an id of `size` bytes in hex."""
    return hashlib.sha256(text.encode()).digest()[:size].hex()
