"""A shield that objects to prompt injections and similar attacks, by an embedded classifier.

The classifier (`securevector-guardian-model`) is linear, over n-grams of words and characters, in pure Python: 12 ms for
2 kB. It therefore runs in a worker process.
"""

from __future__ import annotations

from msgspec import Struct

from schemas.events.payload import Violation
from stack.providers.shields.port import ShieldRequest, violation
from stack.providers.shields.settings import InjectionSettings
from stack.providers.shields.workers import Task, TextWorkers


class Threat(Struct, frozen=True):
    """The severest attack in a text: its category, and its score from 0 to 1."""

    category: str
    score: float


class Injection:
    resource = "securevector-guardian-model"

    def __init__(self, settings: InjectionSettings, workers: TextWorkers) -> None:
        self._settings = settings
        self._workers = workers
        self.id, self.kind, self.timeout_s = settings.id, settings.kind, settings.timeout_s

    async def check(self, request: ShieldRequest) -> Violation | None:
        settings = self._settings
        texts = [text for text in request.texts if text.strip()]
        if not texts:
            return None
        task = Task(texts=texts, threshold=settings.threshold, excluded=settings.excluded_categories)
        found: Threat | None = await self._workers.ask(task, Threat | None)
        if found is None:
            return None
        return violation(self.id, settings.level, settings.user_message, found.category, score=found.score)
