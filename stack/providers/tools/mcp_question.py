"""Questions of MCP tools to the user, and the state with which a call that asked one continues.

Revision 2026-07-28: a call ends with `input_required`, its questions and a state of the server. It is sent again with
the answers and that state, days later if need be.

Older revisions: the server asks during the call, and waits. Nothing can wait for a person then: the call would be
lost with a restart. A tool that is declared repeatable is cancelled, and called again from its start when the user
has answered; it is given the answer when it asks the same question. Any other tool gets the answer `cancel` at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from stack.domain.json_schema import check_schema, mismatch
from stack.errors import Invalid
from stack.providers.tools.port import Answer, Suspended, ToolQuestion

MAX_ROUNDS = 10
MAX_QUESTIONS = 16
MAX_STATE_BYTES = 256 * 1024
MAX_QUESTION_BYTES = 64 * 1024
ACTIONS = ("accept", "decline", "cancel")


class BadState(Exception):
    """The state of a call is damaged, belongs to another call, or cannot be stored. The message is for the model."""


class Given(Struct, frozen=True, omit_defaults=True):
    """An answer of the user, as the protocol has it."""

    action: str
    content: dict[str, Any] | None = None


class CallState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`questions` are those of the current round by key, in their order; `answers` those already given. `server_state`
    is returned to the server unchanged. For older revisions the keys are hashes of the questions, and the answers
    are those of all rounds."""

    call: str
    rounds: int = 1
    questions: dict[str, dict[str, Any]] = {}
    answers: dict[str, Given] = {}
    server_state: str | None = None
    replay: bool = False

    @property
    def open_key(self) -> str | None:
        """Returns the key of the next question without an answer."""
        return next((key for key in self.questions if key not in self.answers), None)


def call_id(tool: str, arguments: Mapping[str, Any]) -> str:
    """Identifies a call in its state."""
    return hashlib.sha256(msgspec.json.encode([tool, arguments], order="deterministic")).hexdigest()[:32]


def question_id(question: Mapping[str, Any]) -> str:
    """Returns the same for the same question; ids that differ from call to call do not count."""
    same = {key: question[key] for key in ("message", "mode", "requestedSchema") if key in question}
    return hashlib.sha256(msgspec.json.encode(same, order="deterministic")).hexdigest()[:32]


def read_state(text: str, call: str) -> CallState:
    """Raises BadState."""
    try:
        state = msgspec.json.decode(text, type=CallState)
    except (msgspec.MsgspecError, RecursionError):
        raise BadState("The state of the call is damaged, so the call cannot be continued.") from None
    if state.call != call:
        raise BadState("The state belongs to a call with other arguments, so the call cannot be continued.")
    return state


def next_round(
    state: CallState,
    questions: dict[str, dict[str, Any]],
    *,
    server_state: str | None = None,
    replay: bool = False,
) -> CallState:
    """Returns the state after the tool has asked `questions`. Raises BadState."""
    if state.rounds >= MAX_ROUNDS:
        raise BadState(f"The tool did not end within {MAX_ROUNDS} rounds of questions.")
    return CallState(
        call=state.call,
        rounds=state.rounds + 1,
        questions=questions,
        answers=state.answers if replay else {},
        server_state=server_state,
        replay=replay,
    )


def answered(state: CallState, answer: Answer | None) -> CallState | Suspended:
    """Returns the state with one more answer, or the next question: the same one again if the answer does not match
    its schema. Raises BadState."""
    key = state.open_key
    if key is None:
        return state
    if answer is None:
        given = Given("cancel")
    elif answer.action not in ACTIONS:
        raise BadState(f"The answer {answer.action[:40]!r} is not one of {', '.join(ACTIONS)}.")
    else:
        given = Given(answer.action, answer.content if answer.action == "accept" else None)
    question = state.questions[key]
    schema = question.get("requestedSchema")
    if given.action == "accept" and schema is not None:
        content = _defaults(schema) | (given.content or {})
        if problem := mismatch(schema, content):
            return suspended(state, f"The answer was not accepted: {problem}. ")
        given = Given("accept", content)
    state = msgspec.structs.replace(state, answers={**state.answers, key: given})
    return state if state.open_key is None else suspended(state)


def _defaults(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values of the fields that an answer may leave out."""
    properties = schema.get("properties")
    fields = properties.items() if isinstance(properties, dict) else ()
    return {
        name: of_one["default"] for name, of_one in fields if isinstance(of_one, dict) and "default" in of_one
    }


def suspended(state: CallState, note: str = "") -> Suspended:
    """Asks the next question. Raises BadState for a question that cannot be asked."""
    key = state.open_key
    assert key is not None
    question = state.questions[key]
    message = str(question.get("message") or "The tool needs an answer.")
    if len(state.questions) > MAX_QUESTIONS:
        raise BadState(
            f"The tool asked {len(state.questions)} questions at once; at most {MAX_QUESTIONS} are allowed."
        )
    schema = question.get("requestedSchema")
    if schema is not None:
        try:
            check_schema(schema, "The schema of the tool's question")
        except Invalid as error:
            raise BadState(error.detail) from None
    text = msgspec.json.encode(state)
    size = len(msgspec.json.encode(question))
    if size > MAX_QUESTION_BYTES or len(text) > MAX_STATE_BYTES:
        raise BadState(
            f"The question of the tool takes {size} bytes and its state {len(text)}; at most {MAX_QUESTION_BYTES} and "
            f"{MAX_STATE_BYTES} are allowed."
        )
    return Suspended(state=text.decode(), question=ToolQuestion(message=note + message, request=question))
