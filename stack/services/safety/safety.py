"""Lists shields, finds those of an agent, and runs them directly."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from projections import wire
from schemas.api.safety import (
    ModerationRequest,
    ModerationResponse,
    ModerationResult,
    RunShieldRequest,
    RunShieldResponse,
    SafetyMessage,
)
from schemas.api.shield import Shield as ShieldInfo
from schemas.events.payload import Violation
from stack.errors import Invalid, NotFound
from stack.providers.shields.port import Shield, ShieldMessage, ShieldRequest
from stack.providers.shields.registry import Shields
from stack.services.effects import Effects, new_id
from stack.services.safety.judging import judge

MAX_MESSAGES = 1_000
MAX_INPUTS = 128
AT_ONCE = 8
_TEXT_PARTS = ("text", "input_text", "output_text")


class Safety:
    def __init__(self, shields: Shields, effects: Effects) -> None:
        self._shields = shields
        self._effects = effects

    @property
    def ids(self) -> Collection[str]:
        return self._shields.by_id.keys()

    @property
    def kinds(self) -> Sequence[str]:
        """The kinds of the configured shields, each once."""
        return list(dict.fromkeys(shield.kind for shield in self._shields.by_id.values()))

    def list(self) -> list[ShieldInfo]:
        return [_info(shield) for shield in self._shields.by_id.values()]

    def show(self, shield_id: str) -> ShieldInfo:
        """Raises NotFound."""
        shield = self._shields.by_id.get(shield_id)
        if shield is None:
            raise NotFound(f"There is no shield {shield_id!r}. Shields: {_listed(self.ids)}.")
        return _info(shield)

    def of(self, shield_ids: Iterable[str], where: str) -> Sequence[Shield]:
        """Returns the shields, each once. Raises Invalid for an unknown one; `where` names the field with the ids."""
        known = self._shields.by_id
        for one in shield_ids:
            if one not in known:
                raise Invalid(f"{where} names an unknown shield {one!r}. Known: {_listed(known)}.")
        return [known[one] for one in dict.fromkeys(shield_ids)]

    def asks_model(self, shield_id: str) -> bool:
        shield = self._shields.by_id.get(shield_id)
        return shield is not None and shield.kind == "llama-guard"

    async def run(self, request: RunShieldRequest) -> RunShieldResponse:
        """Raises Invalid, and the errors of `judge`."""
        shields = self.of([request.shield_id], "shield_id")
        if request.params:
            raise Invalid("params must be empty: shields have their parameters in the settings.")
        if not 0 < len(request.messages) <= MAX_MESSAGES:
            raise Invalid(f"messages holds {len(request.messages)}; give 1 to {MAX_MESSAGES}.")
        checked = [_message(index, one) for index, one in enumerate(request.messages)]
        found = await judge(self._effects, shields, ShieldRequest(checked=checked))
        return RunShieldResponse(None if found is None else wire.violation(found))

    async def moderate(self, request: ModerationRequest) -> ModerationResponse:
        """Raises Invalid, and the errors of `judge`."""
        shields = self.of([request.model], "model")
        texts = [request.input] if isinstance(request.input, str) else request.input
        if not 0 < len(texts) <= MAX_INPUTS:
            raise Invalid(f"input holds {len(texts)} texts; give 1 to {MAX_INPUTS}.")
        places = asyncio.Semaphore(AT_ONCE)

        async def judged(text: str) -> Violation | None:
            async with places:
                checked = [ShieldMessage("user", text)]
                return await judge(self._effects, shields, ShieldRequest(checked=checked))

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(judged(text)) for text in texts]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        results = [_result(task.result()) for task in tasks]
        return ModerationResponse(id=f"modr-{new_id()}", model=request.model, results=results)


def _info(shield: Shield) -> ShieldInfo:
    return ShieldInfo(
        identifier=shield.id,
        provider_id=shield.kind,
        type="shield",
        provider_resource_id=shield.resource or shield.id,
    )


def _result(found: Violation | None) -> ModerationResult:
    if found is None:
        return ModerationResult(flagged=False, metadata={})
    metadata = found.metadata or {}
    named = str(metadata.get("violation_type", ""))
    categories = {one: True for one in named.split(",") if one}
    return ModerationResult(
        flagged=True, metadata=metadata, categories=categories or None, user_message=found.user_message
    )


def _message(index: int, message: SafetyMessage) -> ShieldMessage:
    """Returns the texts of a message: its content, and the arguments of its calls. Raises Invalid for content that
    shields cannot read."""
    texts = [
        *_texts(message.content, f"messages[{index}].content"),
        *_texts(message.context, f"messages[{index}].context"),
    ]
    for call in message.tool_calls or ():
        function = call.get("function")
        arguments = (function if isinstance(function, dict) else call).get("arguments")
        if arguments is not None:
            texts.append(arguments if isinstance(arguments, str) else str(arguments))
    role = "assistant" if message.role == "assistant" else "user"
    return ShieldMessage(role, "\n".join(texts))  # type: ignore[arg-type]


def _texts(content: Any, where: str) -> Iterable[str]:
    if content is None:
        return
    if isinstance(content, str):
        yield content
        return
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict) and part.get("type") in _TEXT_PARTS and isinstance(part.get("text"), str):
            yield part["text"]
        else:
            kind = part.get("type") if isinstance(part, dict) else None
            raise Invalid(f"{where} holds a part of type {kind!r}. Shields read text; leave it out.")


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none"
