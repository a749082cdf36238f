"""SQL on the files of a data folder that no server uses.

The folder is opened as a server opens it, its read models follow the log to its end, and the query runs in the same
confined process. Nothing is recorded, and nothing removed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import click
import msgspec

from projections.warehouse.errors import ViewBehind
from schemas.api.sql import SqlRequest, SqlSchema
from stack.cli.offline import Offline, opened, require_log
from stack.cli.sql_source import Answered
from stack.errors import Invalid
from stack.services.sql.setup import sql_service
from stack.services.sql.sql import SqlService
from stack.services.sql.views import schema
from stack.services.telemetry.decoding_process import decoding_process
from stack.settings import Settings
from telemetry.store.store import TelemetryStore
from telemetry.store.upkeep import Retention

WAIT_S = 3600.0
"""A long log takes minutes to be read."""
_QUIET_S = 1.0
_POLL_S = 0.02


class Files:
    """The folder is held while a query is answered, and free in between. Raises NotFound if there is none."""

    def __init__(self, settings: Settings) -> None:
        require_log(settings.data)
        self._settings = settings

    @property
    def name(self) -> str:
        return f"the files in {self._settings.data}"

    def answer(self, request: Mapping[str, Any]) -> Answered:
        """Like `Source.answer`. Raises FolderInUse and LogIncomplete as well."""
        try:
            wanted = msgspec.convert(request, SqlRequest)
        except msgspec.ValidationError as error:
            raise Invalid(f"{error}.") from None
        with opened(self._settings.data) as offline:
            return asyncio.run(self._answered(offline, wanted))

    def schema(self) -> SqlSchema:
        return schema()

    async def _answered(self, offline: Offline, wanted: SqlRequest) -> Answered:
        async with self._service(offline) as service, service.answered(wanted) as answer:
            pieces = [piece async for piece in answer.pieces]
            return Answered(answer.limit, iter(pieces))

    @asynccontextmanager
    async def _service(self, offline: Offline) -> AsyncIterator[SqlService]:
        """Yields the service once the read models have everything."""
        settings = self._settings
        telemetry = TelemetryStore(
            offline.folder,
            offline.warehouse,
            Retention(settings.telemetry_retention_days, settings.telemetry_retention_bytes),
            decoding_process(),
            refuses=offline.store.trouble,
        )
        telemetry.start(maintains=False)

        async def telemetry_head() -> int:
            await telemetry.reached()
            return telemetry.head()

        service = sql_service(
            settings, offline.folder, offline.warehouse, offline.store, offline.engine, telemetry_head
        )
        try:
            engine, head = offline.engine, offline.store.head()
            await _caught_up(lambda: engine.reached(head), lambda: engine.state().last_error or "")
            await _caught_up(telemetry.reached, lambda: telemetry.state().trouble)
            yield service
        finally:
            await service.aclose()
            await telemetry.stop()


async def _caught_up(reached: Callable[[], Awaitable[None]], trouble: Callable[[], str]) -> None:
    """Returns once the tables have everything. Raises ViewBehind if they cannot."""
    loop = asyncio.get_running_loop()
    began, is_told = loop.time(), False
    while True:
        try:
            return await reached()
        except ViewBehind:
            if trouble() or loop.time() > began + WAIT_S:
                raise
        if not is_told and loop.time() > began + _QUIET_S:
            click.echo("The read models are brought up to date with the log.", err=True)
            is_told = True
        await asyncio.sleep(_POLL_S)
