"""Exports sessions with values replaced by placeholders."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from schemas.api.session_file import RedactionRules
from stack.errors import Invalid
from stack.services.replay.one_at_a_time import OneAtATime
from stack.services.replay.redaction_rules import Rules, listed_paths, rules_of
from stack.services.replay.session_export import SessionExport
from stack.services.replay.session_file import read_session_file, written
from stack.services.replay.session_forms import SESSION, WRITERS, form_of


class RedactedExport:
    def __init__(self, sessions: SessionExport, queue: OneAtATime) -> None:
        self._sessions = sessions
        self._queue = queue

    async def content(self, agent_id: str, session_id: str, given: RedactionRules, form: str) -> bytes:
        """Returns the session in this form. Raises NotFound, Invalid for rules that cannot be used, Unavailable if too many
        sessions are waiting, and the errors of `SessionExport.lines`."""
        if not (given.builtin or given.patterns or given.paths):
            raise Invalid("There is no rule: name builtin patterns, patterns or paths.")
        if form != SESSION:
            form_of(WRITERS, form, "as")
        rules = await asyncio.to_thread(
            lambda: rules_of(given.builtin, list(given.patterns.items()), listed_paths(given))
        )
        async with self._queue.place():
            pieces = [piece async for piece in await self._sessions.lines(agent_id, session_id)]
            made = redacted_content(b"".join(pieces), rules, form)
            return await asyncio.to_thread(lambda: b"".join(asyncio.run(made)))


async def redacted_content(content: bytes, rules: Rules, form: str) -> Iterable[bytes]:
    """Returns a session file in this form, redacted. Raises Invalid."""
    from stack.services.replay.redaction import redacted

    write = None if form == SESSION else form_of(WRITERS, form, "as")
    file = await redacted(read_session_file(content), rules)
    return written(file) if write is None else write(file.record)
