"""The messages sent to the model: a session's turns as chat messages, each encoded once and then copied.

A turn that failed before it produced anything is left out: its question will probably be asked again, and two
consecutive user messages break the chat templates of many models. So is a turn whose input a shield refused. A tool call that was never answered is
answered with the input of the next turn, or as not executed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
from cachetools import LRUCache
from msgspec import Raw
from msgspec.structs import replace

from schemas.events.payload import AgentConfig, Content, ToolCall, ToolConfig
from schemas.events.turn import FetchedContent
from stack.domain import turn as turns
from stack.domain.damaged_turn import DAMAGED_ANSWER, DAMAGED_QUESTION
from stack.domain.session import SessionState
from stack.domain.turn import TurnState
from stack.domain.turn_shield import USER_INPUT, input_passed, judged_steps, passed, refusal
from stack.domain.turn_step import StepState, retrieval_in
from stack.eventstore import StreamReader, stream_name
from stack.off_loop import off_loop_if
from stack.services.turns.chat_message import (
    Part,
    assistant_message,
    digests_of,
    images_of,
    parts_of,
    system_text,
    tool_message,
    user_message,
)
from stack.services.turns.document import (
    context_items,
    document_numbers,
    long_documents,
    posted_characters,
    text_in_documents,
)

_encode = msgspec.json.Encoder().encode


FUNCTION_DEFINITIONS = "{{function_definitions}}"
# Larger input, in bytes, is encoded in a thread: 1 MiB takes about 1 ms.
LARGE_INPUT_CHARACTERS = 2**20
# This many messages are joined, unless they are larger than this in total.
JOINED_MESSAGES = 64
JOINED_BYTES = 256 * 1024

Pending = Mapping[str, list[Part]]
"""The calls that wait for a response, each with the text to use if there is none."""


class Conversations:
    """The history of sessions as encoded messages, the most recently used in memory (`max_bytes`)."""

    def __init__(self, store: StreamReader, max_bytes: int = 64 * 2**20) -> None:
        self._store = store
        self._sessions: LRUCache[str, History] = LRUCache(max_bytes, attrgetter("bytes"))

    async def before(self, session_id: str, session: SessionState, turn_id: str) -> History:
        """Returns the messages of all turns of the session before `turn_id`, oldest first. Do not modify
        them."""
        count = _place(session.turns, turn_id)
        history = self._sessions.get(session_id)
        if history is None or history.turns > count:
            history = History()
        first = history.turns
        missing = session.turns[first:count]
        if missing:
            names = {turn: stream_name("turn", turn) for turn in missing}
            streams = await self._store.read_streams(list(names.values()))
            for index, turn in enumerate(missing, first):
                state = TurnState()
                for recorded in streams.get(names[turn], ()):
                    state = turns.evolve(state, recorded.event, recorded.recorded_at, recorded.version)
                added = await _history_of(state, history.pending)
                # In the meantime, the end of that turn may have added it: see `add`.
                if history.turns == index:
                    history.take(added)
        self._keep(session_id, history)
        return history

    def add(self, session_id: str, session: SessionState, turn_id: str, state: TurnState) -> None:
        """Adds the messages of a turn that just ended, so that the next one need not read it. Large turns are
        read later instead, because encoding them here would delay others."""
        history = self._sessions.get(session_id)
        if history is None or _place(session.turns, turn_id) != history.turns or _is_large(state):
            return
        history.add(state)
        self._keep(session_id, history)

    def forget(self, session_id: str) -> None:
        self._sessions.pop(session_id, None)

    def _keep(self, session_id: str, history: History) -> None:
        self.forget(session_id)
        if history.bytes <= self._sessions.maxsize:
            self._sessions[session_id] = history


def _place(turns: Sequence[str], turn_id: str) -> int:
    """Returns the index of a turn in its session, searched from the end: it is one of the last."""
    return next(index for index in range(len(turns) - 1, -1, -1) if turns[index] == turn_id)


class Messages(NamedTuple):
    """Messages with their digests (see `digests_of`)."""

    encoded: list[Raw]
    digests: bytes


def digested(messages: list[Raw]) -> Messages:
    return Messages(messages, digests_of(messages))


class TurnHistory(NamedTuple):
    """The messages that one turn adds to the history, and the calls that it leaves open."""

    messages: Messages
    pending: Pending


class History:
    """`turns` counts the included turns; `pending` are the calls without a response.

    Older messages are joined: copying each message of a long session separately took 0.7 ms per turn.
    """

    def __init__(self) -> None:
        self.turns = 0
        self._joined: list[Raw] = []
        self._newest: list[Raw] = []
        self.digests = bytearray()
        self.pending: Pending = {}
        self.bytes = 0

    @property
    def messages(self) -> list[Raw]:
        """Returns elements of a JSON array: each is one message, or several separated by commas."""
        return [*self._joined, *self._newest]

    def add(self, state: TurnState) -> None:
        self.take(history_of(state, self.pending))

    def take(self, turn: TurnHistory) -> None:
        """Adds the messages of the next turn."""
        self.turns += 1
        self._newest += turn.messages.encoded
        if len(self._newest) >= JOINED_MESSAGES:
            small = sum(memoryview(message).nbytes for message in self._newest) <= JOINED_BYTES
            self._joined += [Raw(b",".join(self._newest))] if small else self._newest
            self._newest = []
        self.digests += turn.messages.digests
        self.bytes += sum(memoryview(message).nbytes + 96 for message in turn.messages.encoded)
        self.pending = turn.pending


def history_of(state: TurnState, pending: Pending) -> TurnHistory:
    """Returns the messages of a turn that has ended."""
    if not is_in_history(state):
        # The responses in its input count all the same: their calls are still open.
        is_judged = not state.input_shields or passed(state, USER_INPUT)
        given = _given(state, _fetched(state)) if is_judged else {}
        return TurnHistory(
            Messages([], b""),
            {call_id: given.get(call_id, otherwise) for call_id, otherwise in pending.items()},
        )
    if state.is_damaged:
        return TurnHistory(_of_damaged(state, pending), {})
    messages = digested([*questions_of(state, pending), *answers_of(state)])
    return TurnHistory(messages, {call.call_id: [turns.NOT_EXECUTED] for call in left_open(state)})


def is_in_history(state: TurnState) -> bool:
    """Returns whether later turns see a turn that has ended: not if it failed before it produced anything, or if shields
    have not let its input pass."""
    if not input_passed(state):
        return False
    return state.is_damaged or state.status == "completed" or bool(answers_of(state))


def left_open(state: TurnState) -> Sequence[ToolCall]:
    """Returns the calls that input of a later turn may answer."""
    return () if refusal(state) is not None else turns.pending_calls(state)


def _of_damaged(state: TurnState, pending: Pending) -> Messages:
    """Returns one question and one answer for a turn with damaged events, complete or replaced by a note. Its
    calls are left out, because a call or its response may be among the missing events."""
    questions = questions_of(state, pending)
    if not any(message.role == "user" for message in state.input_messages):
        questions.append(user_message([[DAMAGED_QUESTION]]))
    output = state.output_message
    answer = output.content if state.status == "completed" and output.content else DAMAGED_ANSWER
    return digested([*questions, assistant_message(replace(output, content=answer, tool_calls=None))])


async def _history_of(state: TurnState, pending: Pending) -> TurnHistory:
    return await off_loop_if(_is_large(state), history_of, state, pending)


async def questions_for(state: TurnState, pending: Pending) -> Messages:
    """Like `questions_of`, in a thread if there is much to encode."""
    return await off_loop_if(_is_large(state), lambda: digested(questions_of(state, pending)))


async def answers_for(state: TurnState) -> Messages:
    """Like `answers_of`, in a thread if there is much to encode."""
    return await off_loop_if(_is_large(state), lambda: digested(answers_of(state)))


def system_message(
    config: AgentConfig, tool_config: ToolConfig, functions: Sequence[Mapping[str, Any]] = ()
) -> list[Raw]:
    """Returns the agent's instructions. With `system_message_behavior: replace` they may contain a
    placeholder for the definitions of the tools, `functions`."""
    text = config.instructions
    if tool_config.system_message_behavior == "replace" and FUNCTION_DEFINITIONS in text:
        definitions = _encode(functions).decode()
        text = text.replace(FUNCTION_DEFINITIONS, definitions)
    return [system_text(text)] if text else []


def questions_of(state: TurnState, pending: Pending | None = None) -> list[Raw]:
    """Returns the input of a turn: responses to the open calls, then one message with everything that the
    user says. Documents and the images of responses precede the user's own text."""
    fetched = _fetched(state)
    given = _given(state, fetched)
    messages: list[Raw] = []
    blocks: list[list[Part]] = []
    for call_id, otherwise in (pending or {}).items():
        response = given.get(call_id, otherwise)
        messages.append(tool_message(call_id, response))
        blocks.append(images_of(call_id, response))
    said = [message for message in state.input_messages if message.role == "user"]
    retrieval = retrieval_in(state.steps)
    retrieved: tuple[int, ...] = ()
    if retrieval is not None:
        retrieved = document_numbers(retrieval.vector_db_ids)
    elif state.is_damaged:
        # The retrieval may be what is damaged: the documents would fill the context of all later turns.
        lengths = list(map(len, text_in_documents(state.documents, fetched)))
        retrieved = long_documents(lengths, DAMAGED_DOCUMENTS_CHARACTERS)
    blocks.append(parts_of(context_items(state.documents, fetched, retrieved), fetched))
    if retrieval is not None and retrieval.inserted_context:
        blocks.append(parts_of(retrieval.inserted_context, fetched))
    for message in said:
        blocks += (parts_of(message.content, fetched), parts_of(message.context or "", fetched))
    if said or any(blocks):
        messages.append(user_message(blocks))
    return messages


def document_texts(state: TurnState, retrieved: Collection[int] = ()) -> list[str]:
    """Returns the texts of documents as the model receives them, without those with the numbers `retrieved`."""
    items = context_items(state.documents, _fetched(state), retrieved)
    return [item if isinstance(item, str) else item.text or "" for item in items]


def answers_of(state: TurnState) -> list[Raw]:
    """Returns what a turn has answered so far: the model's messages and the responses of tools, without text that shields
    have refused or not judged."""
    fetched = _fetched(state)
    answers: list[Raw] = []
    for step in judged_steps(state):
        answers.extend(step_messages(step, fetched))
    if answers and refusal(state) is not None:
        # Each call needs a response before the next message of the model.
        left = turns.pending_calls(state)
        answers += [tool_message(call.call_id, [turns.NOT_EXECUTED]) for call in left]
        answers.append(assistant_message(state.output_message))
    if not answers and state.output_message.content:
        answers.append(assistant_message(state.output_message))
    return answers


def step_messages(step: StepState, fetched: Mapping[str, FetchedContent]) -> Iterable[Raw]:
    """Yields the messages of a finished step: an answer, or the results of tools."""
    if step.step_type == "tool_execution":
        responses = [(one.call_id, parts_of(one.content, fetched)) for one in step.tool_responses]
        yield from (tool_message(call_id, parts) for call_id, parts in responses)
        # After the last of them: nothing may be between a call and its response.
        blocks = [block for call_id, parts in responses if (block := images_of(call_id, parts))]
        if blocks:
            yield user_message(blocks)
    elif step.output is not None:
        yield assistant_message(step.output)


DAMAGED_DOCUMENTS_CHARACTERS = 200_000
"""So much of the documents of a damaged turn is sent to the model."""


def _given(state: TurnState, fetched: Mapping[str, FetchedContent]) -> dict[str, list[Part]]:
    """Returns the tool responses in the input."""
    return {
        message.call_id: parts_of(message.content, fetched)
        for message in state.input_messages
        if message.role == "tool" and message.call_id is not None
    }


def _fetched(state: TurnState) -> dict[str, FetchedContent]:
    return {one.uri: one for one in state.fetched}


def _is_large(state: TurnState) -> bool:
    """Returns whether encoding a turn takes more than a millisecond or two."""
    size = sum(len(one.data) for one in state.fetched)
    size += sum(map(posted_characters, state.documents))
    contents = [message.content for message in state.input_messages]
    contents += [one.content for step in state.steps for one in step.tool_responses]
    return size + sum(map(_length, contents)) > LARGE_INPUT_CHARACTERS


def _length(content: Content) -> int:
    if isinstance(content, str):
        return len(content)
    items = content if isinstance(content, list) else [content]
    length = 0
    for item in items:
        length += len(item.text or "")
        if item.image is not None:
            length += len(item.image.data or "") + (len(item.image.url.uri) if item.image.url else 0)
    return length
