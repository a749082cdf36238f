"""A shield that objects to texts in which a pattern occurs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from schemas.events.payload import Violation
from stack.domain.shield import LEVELS
from stack.providers import patterns
from stack.providers.shields.port import ShieldRequest, violation
from stack.providers.shields.settings import PatternSettings
from stack.providers.shields.workers import Task, TextWorkers

INLINE_STEPS = 4_000_000
"""Size of the compiled patterns times the length of the text up to which they are searched for in the event loop. That
takes microseconds, and 10 ms in the worst case of RE2, when a text defeats the cache of its automaton."""


class Pattern:
    """Larger texts are searched in a worker process, which is ended if it exceeds the time limit of the shield."""

    resource = ""

    def __init__(self, settings: PatternSettings, workers: TextWorkers) -> None:
        self._settings = settings
        self._workers = workers
        self._patterns = [one.pattern for one in settings.patterns]
        self._steps = sum(patterns.compiled(one).programsize for one in self._patterns)
        self.id, self.kind, self.timeout_s = settings.id, settings.kind, settings.timeout_s

    async def check(self, request: ShieldRequest) -> Violation | None:
        texts = request.texts
        if self._steps * sum(map(len, texts)) <= INLINE_STEPS:
            found = matching(self._patterns, texts)
        else:
            task = Task(texts=texts, patterns=self._patterns)
            found = list(await self._workers.ask(task, list[int]))
        return self._objection(found)

    def _objection(self, found: Sequence[int]) -> Violation | None:
        """Returns the objection of the severest pattern, of the first one among equals."""
        settings = self._settings
        if not found:
            return None
        named = [settings.patterns[index] for index in found]
        worst = min(named, key=lambda one: LEVELS.index(one.level or settings.level))
        message = settings.user_message if worst.user_message is None else worst.user_message
        names = [one.name for one in named]
        return violation(self.id, worst.level or settings.level, message, worst.name, patterns=names)


def matching(searched: Sequence[str], texts: Iterable[str]) -> list[int]:
    """Returns the indices of the patterns that occur in one of the texts."""
    encoded = [text.encode("utf-8", "replace") for text in texts]
    compiled = [patterns.compiled(one) for one in searched]
    return [
        index for index, one in enumerate(compiled) if any(one.search(text) is not None for text in encoded)
    ]
