"""The candidates of an evaluation: a model, or an agent with a session and a turn for each row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Raw, Struct

from schemas.events.payload import (
    AgentConfig,
    CompletionMessage,
    EvalCandidate,
    InputMessage,
    TurnUsage,
)
from schemas.events.turn import FetchedContent
from stack.domain.eval_row import EvalRow, RowMessage, text_of
from stack.errors import ReplaystackError, UpstreamFailed
from stack.off_loop import off_loop_if
from stack.providers.inference.port import Finished, InferenceProvider, TextChunk
from stack.services.effects import Effects
from stack.services.requests.caller import Caller
from stack.services.turns.answer import MAX_ANSWER_CHARACTERS
from stack.services.turns.chat_message import assistant_message, parts_of, system_text, user_message
from stack.services.turns.content import ContentLoader
from stack.services.turns.conversation import LARGE_INPUT_CHARACTERS, Messages
from stack.services.turns.turn_plan import TurnPlan
from stack.services.turns.turn_runner import inference_request

WHERE = "benchmark_config.eval_candidate"


class Answer(Struct, frozen=True):
    """The answer to a row. An agent's answer names the session and the turn."""

    text: str
    usage: TurnUsage
    session_id: str = ""
    turn_id: str = ""


class RowFailed(Exception):
    """A row was not answered. `error` is the reason; `session_id` and `turn_id` are set if an agent was
    asked. With `final` another attempt would fail too, whatever the error is."""

    def __init__(
        self, error: ReplaystackError, session_id: str = "", turn_id: str = "", *, final: bool = False
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.session_id = session_id
        self.turn_id = turn_id
        self.final = final


class Candidate(Protocol):
    async def answer(
        self, number: int, row: EvalRow, attempt: int, caller: Caller, labels: Mapping[str, str]
    ) -> Answer:
        """Returns the answer to row `number`; `attempt` counts from 1 in this process. `caller` continues the
        row's span, `labels` are attributes of the spans under it. Raises ReplaystackError, RowFailed."""
        ...


def agent_of(candidate: EvalCandidate) -> AgentConfig:
    """Returns the candidate as an agent: a model with its parameters becomes one without instructions."""
    return candidate.config or AgentConfig(
        model=candidate.model or "", instructions="", sampling_params=candidate.sampling_params
    )


class ModelAnswers:
    """Calls the model, once for each row."""

    def __init__(
        self,
        candidate: EvalCandidate,
        provider: InferenceProvider,
        model: str,
        effects: Effects,
        content: ContentLoader,
    ) -> None:
        self._system = candidate.system_message.content if candidate.system_message else ""
        self._plan = TurnPlan(
            agent=agent_of(candidate), provider=provider, model=model, context=Messages([], b"")
        )
        self._effects = effects
        self._content = content

    async def answer(
        self, number: int, row: EvalRow, attempt: int, caller: Caller, labels: Mapping[str, str]
    ) -> Answer:
        fetched = await self._fetched(row)
        is_large = bool(fetched) or row.size > LARGE_INPUT_CHARACTERS
        messages = await off_loop_if(is_large, self._messages, row, fetched)
        request = inference_request(self._plan, messages, None)
        pieces: list[str] = []
        length = 0
        finished: Finished | None = None
        events = self._effects.infer(self._plan.provider, request, labels)
        try:
            async for event in events:
                if isinstance(event, TextChunk):
                    pieces.append(event.text)
                    length += len(event.text)
                    if length > MAX_ANSWER_CHARACTERS:
                        raise UpstreamFailed(f"The model's answer passed {MAX_ANSWER_CHARACTERS} characters.")
                elif isinstance(event, Finished):
                    finished = event
        finally:
            await events.aclose()
        if finished is None:
            raise UpstreamFailed(f"{self._plan.provider.id} ended its answer without saying why.")
        return Answer("".join(pieces), finished.usage)

    def _messages(self, row: EvalRow, fetched: Mapping[str, FetchedContent]) -> list[Raw]:
        """Returns the messages to the model: one system message with all instructions, and the
        conversation."""
        messages = [_chat(message, fetched) for message in row.messages if message.role != "system"]
        told = [self._system, *(one.content for one in row.messages if one.role == "system")]
        instructions = "\n".join(text for content in told if (text := text_of(content)))
        return [system_text(instructions), *messages] if instructions else messages

    async def _fetched(self, row: EvalRow) -> Mapping[str, FetchedContent]:
        """Fetches the URLs of images: a model server never receives a URL of a caller's choice."""
        if all(isinstance(message.content, str) for message in row.messages):
            return {}
        asked = [InputMessage(role="user", content=message.content) for message in row.messages]
        found = await self._content.load(asked, None, self._plan.provider)
        return {one.uri: one for one in found}


def _chat(message: RowMessage, fetched: Mapping[str, FetchedContent]) -> Raw:
    if message.role == "assistant":
        said = CompletionMessage(content=text_of(message.content), stop_reason="end_of_turn")
        return assistant_message(said)
    return user_message([parts_of(message.content, fetched)])
