"""What the model is shown: a session's turns as chat messages, each encoded once and copied ever after.

A turn that failed before it produced anything is left out: its question will be asked again, and two user
messages in a row break the chat templates of many models. A tool call that was never answered is answered
with the input of the next turn, or as not executed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw

from schemas.api.agent import AgentConfig, ToolConfig, ToolDef
from schemas.api.content import InterleavedContent, TextContentItem, ToolResponseMessage, UserMessage
from schemas.api.turn import Document
from stack.domain import turn as turns
from stack.domain.session import SessionState
from stack.domain.turn import StepState, TurnState
from stack.errors import Invalid
from stack.eventstore import EventStore, stream_name

_encode = msgspec.json.Encoder().encode

MAX_CONTEXT_DOCUMENTS_CHARACTERS = 200_000
NOT_EXECUTED = "The call was not executed."
FUNCTION_DEFINITIONS = "{{function_definitions}}"


class Conversations:
    """The history of sessions as encoded messages, the most recently used in memory (`max_bytes`)."""

    def __init__(self, store: EventStore, max_bytes: int = 64 * 2**20) -> None:
        self._store = store
        self._max_bytes = max_bytes
        self._bytes = 0
        self._sessions: OrderedDict[str, History] = OrderedDict()

    async def before(self, session_id: str, session: SessionState, turn_id: str) -> History:
        """The messages of all turns of the session that came before `turn_id`, oldest first. Do not change."""
        earlier = session.turns[: session.turns.index(turn_id)]
        history = self._sessions.get(session_id)
        if history is None or history.turns > len(earlier):
            history = History()
        missing = earlier[history.turns :]
        if missing:
            names = {turn: stream_name("turn", turn) for turn in missing}
            streams = await self._store.read_streams(list(names.values()))
            for turn in missing:
                state = TurnState()
                for recorded in streams.get(names[turn], ()):
                    state = turns.evolve(state, recorded.event, recorded.recorded_at, recorded.version)
                history.add(state)
        self._keep(session_id, history)
        return history

    def add(self, session_id: str, session: SessionState, turn_id: str, state: TurnState) -> None:
        """Takes over the messages of a turn that just ended, so that the next one need not read it."""
        history = self._sessions.get(session_id)
        if history is not None and session.turns.index(turn_id) == history.turns:
            history.add(state)
            self._keep(session_id, history)

    def forget(self, session_id: str) -> None:
        history = self._sessions.pop(session_id, None)
        if history is not None:
            self._bytes -= history.counted

    def _keep(self, session_id: str, history: History) -> None:
        self.forget(session_id)
        history.counted = history.bytes
        self._sessions[session_id] = history
        self._bytes += history.counted
        while self._bytes > self._max_bytes and self._sessions:
            self._bytes -= self._sessions.popitem(last=False)[1].counted


class History:
    """`turns` counts the turns that are in; `pending` are the calls of the last one that have no response;
    `counted` is what the cache has accounted for, in bytes."""

    def __init__(self) -> None:
        self.turns = 0
        self.messages: list[Raw] = []
        self.pending: tuple[str, ...] = ()
        self.bytes = 0
        self.counted = 0

    def add(self, state: TurnState) -> None:
        self.turns += 1
        answers = answers_of(state)
        if not answers and state.status != "completed":
            return
        for message in (*questions_of(state, self.pending), *answers):
            self.messages.append(message)
            self.bytes += memoryview(message).nbytes + 64
        self.pending = tuple(call.call_id for call in turns.pending_calls(state))


def system_message(config: AgentConfig, tool_config: ToolConfig) -> list[Raw]:
    """The agent's instructions. With `system_message_behavior: replace` they may say where the definitions of
    the tools go."""
    text = config.instructions
    if tool_config.system_message_behavior == "replace" and FUNCTION_DEFINITIONS in text:
        definitions = _encode([_function(tool) for tool in config.client_tools or ()]).decode()
        text = text.replace(FUNCTION_DEFINITIONS, definitions)
    return [_message("system", text)] if text else []


def tools_of(config: AgentConfig) -> list[Raw]:
    """The definitions of the agent's tools in the chat form."""
    return [Raw(_encode({"type": "function", "function": _function(t)})) for t in config.client_tools or ()]


def _function(tool: ToolDef) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = tool.input_schema or {"type": "object", "properties": {}}
    return function


def questions_of(state: TurnState, pending: Iterable[str] = ()) -> list[Raw]:
    """The input of a turn: answers to the calls that the turn before left open, then what the user says.
    Documents go before the first user message's own text."""
    given = {m.call_id: m.content for m in state.input_messages if isinstance(m, ToolResponseMessage)}
    messages = [_tool_message(call_id, given.get(call_id, NOT_EXECUTED)) for call_id in pending]
    context = documents_text(state.documents)
    for message in state.input_messages:
        if isinstance(message, UserMessage):
            parts = [
                context,
                text_of(message.content, "messages"),
                text_of(message.context or "", "messages"),
            ]
            messages.append(_message("user", "\n\n".join(part for part in parts if part)))
            context = ""
    return messages


def answers_of(state: TurnState) -> list[Raw]:
    """What a turn has answered so far: the model's messages and the responses of tools."""
    answers: list[Raw] = []
    for step in state.finished_steps:
        answers.extend(_step_messages(step))
    if not answers and state.output_message.content:
        answers.append(_message("assistant", state.output_message.content))
    return answers


def _step_messages(step: StepState) -> Iterable[Raw]:
    if step.step_type == "tool_execution":
        for response in step.tool_responses:
            yield _tool_message(response.call_id, response.content)
    elif step.output is not None and not step.output.tool_calls:
        yield _message("assistant", step.output.content)
    elif step.output is not None:
        # Servers parse the arguments for their templates, so what is no JSON object must not go back.
        calls = [
            {
                "id": call.call_id,
                "type": "function",
                "function": {
                    "name": call.tool_name,
                    "arguments": call.arguments if turns.arguments_are_json(call) else "{}",
                },
            }
            for call in step.output.tool_calls or ()
        ]
        yield Raw(_encode({"role": "assistant", "content": step.output.content, "tool_calls": calls}))


def documents_text(documents: Iterable[Document]) -> str:
    """Documents as one block of text, numbered from 1. Raises Invalid for one that cannot be read as text."""
    blocks = []
    for number, document in enumerate(documents, 1):
        text = _document_text(document, f"documents[{number - 1}]")
        blocks.append(f'<document index="{number}" type={_quoted(document.mime_type)}>\n{text}\n</document>')
    joined = "\n".join(blocks)
    if len(joined) > MAX_CONTEXT_DOCUMENTS_CHARACTERS:
        raise Invalid(
            f"documents hold {len(joined)} characters together; at most {MAX_CONTEXT_DOCUMENTS_CHARACTERS} "
            "go into a turn. Send the parts that matter."
        )
    return joined


def _document_text(document: Document, where: str) -> str:
    content = document.content
    if isinstance(content, dict) and "uri" in content:
        raise Invalid(f"{where}.content is a URL; give the text itself.")
    try:
        return text_of(msgspec.convert(content, InterleavedContent), where)
    except msgspec.ValidationError as error:
        raise Invalid(f"{where}.content: {error}. Give text, or a list of text items.") from None


def text_of(content: InterleavedContent, where: str) -> str:
    """The text of interleaved content. Raises Invalid for an image."""
    items = content if isinstance(content, list) else [content]
    texts = []
    for item in items:
        if isinstance(item, str):
            texts.append(item)
        elif isinstance(item, TextContentItem):
            texts.append(item.text)
        else:
            raise Invalid(f"{where} holds an image; this server takes text.")
    return "\n".join(texts)


def _tool_message(call_id: str, content: InterleavedContent) -> Raw:
    return Raw(
        _encode({"role": "tool", "tool_call_id": call_id, "content": text_of(content, "tool_responses")})
    )


def _message(role: str, content: Any) -> Raw:
    return Raw(_encode({"role": role, "content": content}))


def _quoted(text: str) -> str:
    return _encode(text).decode()
