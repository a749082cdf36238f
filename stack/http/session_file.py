"""Recorded sessions over HTTP (not part of the Llama Stack specification)."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from litestar import Controller, Request
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp

from schemas.api.session_file import FoundSession, RedactionRules
from schemas.session_file import ENDING
from stack.http.answer import json_answer
from stack.http.as_of import as_of_in
from stack.http.body import body_of, caller_of, post_of, read_json
from stack.http.endpoint import serves
from stack.http.line_stream import LINES, LineStream
from stack.http.services import Services
from stack.services.replay.session_forms import READERS, SESSION, WRITERS, form_of
from stack.services.requests.once import Prior


class SessionFileController(Controller):
    @serves("find_session")
    async def find(
        self, request: Request[Any, Any, Any], session_id: str, services: Services
    ) -> ASGIResponse:
        found = await services.states.any_session(session_id, await as_of_in(request, services))
        return json_answer(FoundSession(session_id, found.session_name, found.agent_id))

    @serves("export_session")
    async def export(
        self, request: Request[Any, Any, Any], agent_id: str, session_id: str, services: Services
    ) -> ASGIApp:
        form = request.query_params.get("as", SESSION)
        if form == SESSION:
            pieces = await services.session_export.lines(agent_id, session_id)
            return LineStream(pieces, f"{session_id}{ENDING}")
        write = form_of(WRITERS, form, "as")
        record = await services.session_export.record(agent_id, session_id)
        return ASGIResponse(body=await asyncio.to_thread(lambda: b"".join(write(record))), media_type=LINES)

    @serves("export_redacted_session")
    async def export_redacted(
        self, request: Request[Any, Any, Any], agent_id: str, session_id: str, services: Services
    ) -> ASGIResponse:
        rules, _ = await read_json(request, RedactionRules)
        form = request.query_params.get("as", SESSION)
        content = await services.redacted_export.content(agent_id, session_id, rules, form)
        return ASGIResponse(body=content, media_type=LINES)

    @serves("check_session")
    async def check(self, agent_id: str, session_id: str, services: Services) -> ASGIResponse:
        return json_answer(await services.session_checks.check(agent_id, session_id))

    @serves("import_session")
    async def import_(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        query = request.query_params
        form = query.get("from", SESSION)
        read = form_of(READERS, form, "from")
        body = await body_of(request, (LINES, "application/x-ndjson", "application/json"))
        take = partial(
            services.session_import.import_file,
            partial(read, body),
            form,
            query.get("name"),
            query.get("agent_id"),
            caller_of(request),
        )
        imported = await services.once.perform(post_of(request, body), take)
        if isinstance(imported, Prior):
            ids = [id for category, id in imported.streams if category == "session"]
            imported = await services.session_import.shown(ids)
        return json_answer(imported)
