"""Asks a model on behalf of a shield."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from stack.errors import UpstreamFailed
from stack.providers.inference.port import Finished, InferenceRequest, TextChunk
from stack.providers.inference.registry import Models
from stack.services.effects import Effects

MAX_TOKENS = 128
MAX_CHARACTERS = 4_096
"""A verdict has a few characters: a model that says much more is cancelled."""


class GuardModels:
    """The models that shields ask. What they are asked is never captured on spans: it may be text to be withheld."""

    def __init__(self, models: Models, effects: Effects) -> None:
        self._models = models
        self._effects = effects

    async def ask(self, model: str, prompt: str, labels: Mapping[str, str]) -> str:
        """Returns the answer. Raises ReplaystackError."""
        provider, name = await self._models.resolve(model)
        message = Raw(msgspec.json.encode({"role": "user", "content": prompt}))
        request = InferenceRequest(model=name, messages=[message], temperature=0.0, max_tokens=MAX_TOKENS)
        events = self._effects.infer(provider, request, labels, captured="none")
        said = ""
        finished = False
        try:
            async for event in events:
                if isinstance(event, TextChunk):
                    said += event.text
                    if len(said) > MAX_CHARACTERS:
                        raise UpstreamFailed("its model does not end its verdict.")
                elif isinstance(event, Finished):
                    finished = event.reason == "stop"
        finally:
            await events.aclose()
        if not finished:
            raise UpstreamFailed("its model did not end its verdict.")
        return said
