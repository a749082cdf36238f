"""A shield that objects to long texts."""

from __future__ import annotations

from schemas.events.payload import Violation
from stack.providers.shields.port import ShieldRequest, violation
from stack.providers.shields.settings import PromptLengthSettings

BYTES_PER_TOKEN = 4
"""Measured tokenizers need 3 to 5 bytes for a token of most languages."""


class PromptLength:
    resource = ""

    def __init__(self, settings: PromptLengthSettings) -> None:
        self._settings = settings
        self.id, self.kind, self.timeout_s = settings.id, settings.kind, settings.timeout_s

    async def check(self, request: ShieldRequest) -> Violation | None:
        settings = self._settings
        texts = request.texts
        if settings.max_characters is not None:
            count = sum(map(len, texts))
            if count > settings.max_characters:
                return self._too_long("characters", count, settings.max_characters)
        if settings.max_tokens is not None:
            size = sum(len(text.encode("utf-8", "replace")) for text in texts)
            count = -(-size // BYTES_PER_TOKEN)
            if count > settings.max_tokens:
                return self._too_long("tokens", count, settings.max_tokens)
        return None

    def _too_long(self, unit: str, count: int, most: int) -> Violation:
        settings = self._settings
        return violation(
            self.id, settings.level, settings.user_message, f"too_many_{unit}", count=count, most=most
        )
