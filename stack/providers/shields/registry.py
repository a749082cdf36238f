"""All shields of this server, by id."""

from __future__ import annotations

from collections.abc import Sequence

from stack.providers.shields.injection import Injection
from stack.providers.shields.llama_guard import LlamaGuard
from stack.providers.shields.pattern import Pattern
from stack.providers.shields.port import Ask, Shield
from stack.providers.shields.prompt_length import PromptLength
from stack.providers.shields.settings import (
    LlamaGuardSettings,
    PatternSettings,
    PromptLengthSettings,
    ShieldSettings,
)
from stack.providers.shields.workers import TextWorkers


def open_shield(settings: ShieldSettings, ask: Ask, workers: TextWorkers) -> Shield:
    """Returns the shield of these settings, which were checked. `ask` asks a model."""
    match settings:
        case LlamaGuardSettings():
            return LlamaGuard(settings, ask)
        case PatternSettings():
            return Pattern(settings, workers)
        case PromptLengthSettings():
            return PromptLength(settings)
    return Injection(settings, workers)


class Shields:
    """`by_id` holds the shields in the order of the settings."""

    def __init__(self, settings: Sequence[ShieldSettings], ask: Ask) -> None:
        self._workers = TextWorkers()
        self.by_id = {one.id: open_shield(one, ask, self._workers) for one in settings}

    async def aclose(self) -> None:
        await self._workers.aclose()
