"""Reads sessions from OTLP/JSON lines with spans of the GenAI semantic conventions that have content, also those of others.

A session is a conversation (`gen_ai.conversation.id`), or a trace without one; an agent that another one invoked is a
session of its own. Exporters repeat the messages so far in the input of each call: what is known is not added again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from schemas.events.payload import TurnError, TurnUsage
from stack.errors import Invalid
from stack.services.replay.formats.fields import Fields, Kept
from stack.services.replay.formats.otel_messages import Messages, messages_in, parts_in
from stack.services.replay.formats.otel_spans import ReadSpan, read_spans
from stack.services.replay.formats.otlp import REFUSED, STATUS
from stack.services.replay.formats.tool_definitions import tool_definitions
from stack.services.replay.imported_session import Imported, Inference, Retrieved, agent_config
from telemetry.own import conventions as names

INFERENCES = (names.CHAT, "generate_content", names.TEXT_COMPLETION)
INVOCATIONS = (names.INVOKE_AGENT, "invoke_workflow")
NO_CONTENT = (
    "The file has spans of model calls, but none with messages. Record them again with content, for example with "
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=span_only."
)
_STATUSES = ("completed", "failed", "cancelled", "abandoned")


class _Group(Struct):
    """The spans of one session."""

    source: str
    agent: str
    spans: list[ReadSpan]


def read(data: bytes) -> list[Imported]:
    """Returns the sessions of a file, in the order of their first spans. Raises Invalid."""
    spans = read_spans(data)
    of_models = [span for span in spans if span.operation in (*INFERENCES, *INVOCATIONS)]
    if not of_models:
        raise Invalid(
            f"None of the {len(spans)} spans is a model call by the GenAI conventions (gen_ai.operation.name "
            "chat or invoke_agent)."
        )
    found = [imported for group in _groups(spans) if (imported := _session(group)) is not None]
    if not found:
        raise Invalid(NO_CONTENT)
    return found


def _groups(spans: Sequence[ReadSpan]) -> list[_Group]:
    by_id = {(span.trace_id, span.span_id): span for span in spans}
    of_trace: dict[str, set[str]] = {}
    for span in spans:
        if conversation := span.text(names.GEN_AI_CONVERSATION_ID):
            of_trace.setdefault(span.trace_id, set()).add(conversation)
    groups: dict[tuple[str, str], _Group] = {}
    for span in sorted(spans, key=lambda one: (one.began_at, one.ended_at)):
        above = list(_above(span, by_id))
        conversation = next((found for one in above if (found := one.text(names.GEN_AI_CONVERSATION_ID))), "")
        in_trace = of_trace.get(span.trace_id, set())
        if not conversation and len(in_trace) == 1:
            conversation = next(iter(in_trace))
        source = conversation or f"trace {span.trace_id}"
        invocations = [one for one in above if one.operation in INVOCATIONS]
        span.invocation = invocations[0].span_id if invocations else ""
        inner = ""
        if len(invocations) > 1:
            inner = invocations[0].text(names.GEN_AI_AGENT_NAME) or invocations[0].span_id
        group = groups.setdefault((source, inner), _Group(source, inner, []))
        group.spans.append(span)
    return list(groups.values())


def _above(span: ReadSpan, by_id: Mapping[tuple[str, str], ReadSpan]) -> Iterable[ReadSpan]:
    """Yields a span and those above it."""
    seen: set[str] = set()
    above: ReadSpan | None = span
    while above is not None and above.span_id not in seen:
        seen.add(above.span_id)
        yield above
        above = by_id.get((above.trace_id, above.parent_id))


def _session(group: _Group) -> Imported | None:
    """Returns the session of a group; None if its spans have no messages."""
    kept = Kept()
    kept.source = {"conversation": group.source}
    reader = _Conversation(group.spans, kept)
    reader.read()
    turns = reader.messages.transcript.turns()
    if not turns:
        return None
    config = agent_config(
        reader.text(names.GEN_AI_AGENT_NAME) or group.agent,
        reader.model(),
        reader.instructions(),
        tool_definitions(Fields({"tools": reader.tools()}, "", kept), "tools"),
        turns,
    )
    resources: list[Any] = []
    for span in group.spans:
        rest = span.unread() | ({"events": span.events} if span.events else {})
        if rest:
            kept.keep(f"line {span.line}.spans.{span.operation or 'other'}", {"name": span.name} | rest)
        if span.resource and span.resource not in resources[-8:]:
            resources.append(span.resource)
            kept.keep(f"line {span.line}.resource", span.resource)
    name = f"{group.source} {group.agent}".strip()
    return Imported(source=name, session_name=name, agent=config, turns=turns, extra=kept.extra())


class _Conversation:
    """Reads the spans of a session in the order of their times."""

    def __init__(self, spans: Sequence[ReadSpan], kept: Kept) -> None:
        self._spans = spans
        results = {
            (span.invocation, call_id): span
            for span in spans
            if span.operation == names.EXECUTE_TOOL and (call_id := span.text(names.GEN_AI_TOOL_CALL_ID))
        }
        self.messages = Messages(kept, results)

    def read(self) -> None:
        chats = [span for span in self._spans if span.operation in INFERENCES]
        with_chats = {span.invocation for span in chats}
        invocations = {span.span_id: span for span in self._spans if span.operation in INVOCATIONS}
        ended: set[str] = set()
        previous = ""
        for span in self._spans:
            if span.operation in INVOCATIONS and span.span_id in with_chats:
                continue
            if span.operation in INFERENCES or span.operation in INVOCATIONS:
                of_turn = span.span_id if span.operation in INVOCATIONS else span.invocation
                if previous and of_turn != previous:
                    self._end(invocations.get(previous), ended)
                previous = of_turn
                self._call(span, of_turn)
            elif span.operation == names.RETRIEVAL:
                self._retrieval(span)
        self._end(invocations.get(previous), ended)

    def _end(self, invocation: ReadSpan | None, ended: set[str]) -> None:
        """Ends a turn as its span says."""
        self.messages.take_results()
        if invocation is None or invocation.span_id in ended:
            return
        ended.add(invocation.span_id)
        status = invocation.text(STATUS)
        output = messages_in(invocation.value(names.GEN_AI_OUTPUT_MESSAGES))
        if invocation.error is not None:
            code = invocation.text(names.ERROR_TYPE)
            error = TurnError(
                int(code) if code.isdigit() and len(code) == 3 else 502, "Failed", invocation.error
            )
            self.messages.end("failed", output, error, invocation.ended_at)
        elif status in _STATUSES:
            refused = invocation.text(REFUSED)
            self.messages.end(status, output, None, invocation.ended_at, refused)

    def _call(self, span: ReadSpan, invocation: str) -> None:
        given = messages_in(span.value(names.GEN_AI_INPUT_MESSAGES))
        answers = messages_in(span.value(names.GEN_AI_OUTPUT_MESSAGES))
        of_turn = self.messages.add_input(given, span.began_at, invocation)
        if span.operation in INVOCATIONS:
            # In our own files each inference has a span: another output is that of a shield.
            if not span.text(STATUS) and span.error is None:
                for answer in answers[:1]:
                    self.messages.add_answer(answer, self._inference(span), of_turn)
            return
        for answer in answers[:1]:
            self.messages.add_answer(answer, self._inference(span), of_turn)
        for other in answers[1:]:
            self.messages.kept.keep(f"line {span.line}.choices", other)

    def _inference(self, span: ReadSpan) -> Inference:
        usage = TurnUsage(
            span.count(names.GEN_AI_USAGE_INPUT_TOKENS), span.count(names.GEN_AI_USAGE_OUTPUT_TOKENS)
        )
        reasons = span.value(names.GEN_AI_RESPONSE_FINISH_REASONS)
        return Inference(
            usage=None if usage == TurnUsage() else usage,
            model=span.text(names.GEN_AI_RESPONSE_MODEL) or span.text(names.GEN_AI_REQUEST_MODEL),
            response_id=span.text(names.GEN_AI_RESPONSE_ID),
            is_cut_off=isinstance(reasons, list) and reasons[:1] in (["length"], ["max_tokens"]),
            began_at=span.began_at,
            ended_at=span.ended_at,
        )

    def _retrieval(self, span: ReadSpan) -> None:
        passages = parts_in(span.value(names.GEN_AI_RETRIEVAL_DOCUMENTS))
        step = Retrieved(content=passages, ended_at=span.ended_at)
        if passages and not self.messages.transcript.retrieved(step):
            self.messages.kept.keep(f"line {span.line}.retrieval", msgspec.to_builtins(passages))

    def text(self, name: str) -> str:
        """Returns the first value of an attribute that spans of models and agents have."""
        return next((text for span in self._spans if (text := span.text(name))), "")

    def model(self) -> str:
        """Returns the model that was asked for, with its provider unless that is ours."""
        model, provider = self.text(names.GEN_AI_REQUEST_MODEL), self.text(names.GEN_AI_PROVIDER_NAME)
        return f"{provider}/{model}" if model and provider and "/" not in model else model

    def instructions(self) -> str:
        for span in self._spans:
            if parts := parts_in(span.value(names.GEN_AI_SYSTEM_INSTRUCTIONS)):
                return (
                    parts if isinstance(parts, str) else "\n\n".join(one.text or "" for one in _listed(parts))
                )
        return "\n\n".join(self.messages.instructions)

    def tools(self) -> list[Any]:
        for span in self._spans:
            value = span.value(names.GEN_AI_TOOL_DEFINITIONS)
            if isinstance(value, list) and value:
                return value
        return []


def _listed(parts: Any) -> list[Any]:
    return parts if isinstance(parts, list) else [parts]
