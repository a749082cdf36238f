"""SQL of users over the documented views, which have everything that was acknowledged before."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

import msgspec
from msgspec import Struct

from projections.warehouse.engine import Engine
from projections.warehouse.errors import ViewBehind
from schemas.api.sql import SqlRequest
from stack.errors import Invalid, ReplaystackError, Unavailable, of_status
from stack.eventstore import EventStore
from stack.providers.sql.tasks import BODY, END, HEAD, REFUSED, AsOf, Head, Parameters, Refusal, Run
from stack.services.positions import Positions
from stack.services.sql.sql_workers import Reached, SqlWorkers
from stack.workers.failure import Closed, Exhausted, NoAnswer
from stack.workers.framing import Frame
from stack.workers.process import Worker

logger = logging.getLogger("replaystack.sql")

_LIMITS = {"": "", "bytes": "sql_max_bytes", "rows": "sql_max_rows"}


class SqlLimits(Struct, frozen=True):
    """`timeout_s` is for a query to be answered. `queries` run at once, `waiting` ones wait for them."""

    timeout_s: float
    memory_bytes: int
    max_rows: int
    max_bytes: int
    queries: int
    waiting: int


class SqlAnswer(Struct, frozen=True):
    """`pieces` must be read within the service's block. `limit` is the setting that cut the result, `limit` for that of
    the request, or empty; `rows` are those before it. `position` is that of `as_of`."""

    limit: str
    rows: int
    position: int | None
    pieces: AsyncIterator[bytes]


class SqlEnd(Struct, frozen=True):
    """The end of a result that is sent while its query runs. `limit` is the setting that cut it after `rows`, or
    empty."""

    limit: str
    rows: int


TelemetryHead = Callable[[], Awaitable[int]]
"""Waits until the tables of telemetry have everything that was acknowledged and returns the position. Raises
ViewBehind."""


class SqlService:
    """`aclose` ends what runs."""

    def __init__(
        self,
        workers: SqlWorkers,
        store: EventStore,
        engine: Engine,
        telemetry_head: TelemetryHead,
        limits: SqlLimits,
    ) -> None:
        self._workers = workers
        self._store = store
        self._positions = Positions(store)
        self._engine = engine
        self._telemetry_head = telemetry_head
        self.limits = limits
        self._running = asyncio.Semaphore(limits.queries)
        self._waiting = 0

    @asynccontextmanager
    async def answered(self, request: SqlRequest) -> AsyncIterator[SqlAnswer]:
        """Yields the answer to a query; it is ended with the block. Raises Invalid, with the name of a limit that the
        query exceeds, and Unavailable."""
        limits = self.limits
        max_rows = limits.max_rows if request.limit is None else min(request.limit, limits.max_rows)
        as_of = await self._moment(request)
        form = request.format or "json"
        run = Run(request.query, request.parameters, form, max_rows, limits.max_bytes, as_of)
        async with self._ran(run) as (head, frames):
            position = None if as_of is None else as_of.position
            yield SqlAnswer(_limit(head, request), head.rows, position, _payloads(frames))

    async def described(self, query: str, parameters: Parameters | None) -> tuple[list[str], bytes]:
        """Returns the names of a query's parameters, and an Arrow stream without rows: the columns of its result. Without
        `parameters` each of them is NULL. Raises the errors of `answered`."""
        async with self._ran(Run(query, parameters, "arrow", 0, self.limits.max_bytes)) as (head, frames):
            return head.parameters, b"".join([piece async for piece in _payloads(frames)])

    @asynccontextmanager
    async def streamed(
        self, query: str, parameters: Parameters
    ) -> AsyncIterator[AsyncIterator[bytes | SqlEnd]]:
        """Yields the answer while the query runs, as messages `FlightData` of Arrow Flight and an end; they must be read
        within the block. Both raise the errors of `answered`."""
        run = Run(query, parameters, "flight", self.limits.max_rows, self.limits.max_bytes)
        async with self._ran(run) as (_, frames):
            yield _messages(frames)

    @asynccontextmanager
    async def _ran(self, run: Run) -> AsyncIterator[tuple[Head, AsyncIterator[Frame]]]:
        limits = self.limits
        async with self._place():
            reached = await self._reached()
            try:
                async with (
                    self._workers.snapshot(reached) as worker,
                    aclosing(self._frames(worker, run)) as frames,
                ):
                    first = await anext(frames)
                    if first.kind == HEAD:
                        yield msgspec.json.decode(first.payload, type=Head), frames
                    else:
                        # The worker is asked again after a refusal.
                        async for _ in frames:
                            pass
            except NoAnswer as error:
                raise _unavailable(error) from None
            except TimeoutError:
                raise Unavailable(
                    f"To copy the read models took more than the {limits.timeout_s:g} s of the setting sql_timeout_s. Try again.",
                    retry_after=5,
                ) from None
            except OSError as error:
                raise Unavailable(
                    f"No process can be started to run SQL: {error.strerror or error}.", retry_after=5
                ) from None
        if first.kind == REFUSED:
            raise _refused(first)

    async def _moment(self, request: SqlRequest) -> AsOf | None:
        if request.as_of is None:
            return None
        moment = await self._positions.moment(str(request.as_of))
        return AsOf(moment.position, moment.until_ns)

    async def forget(self) -> None:
        """Ends queries and snapshots that may have content which was erased since."""
        await self._workers.forget()

    async def aclose(self) -> None:
        await self._workers.aclose()

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        if self._running.locked() and self._waiting >= self.limits.waiting:
            raise Unavailable(
                f"{self.limits.queries} SQL queries are running and {self._waiting} wait (settings sql_queries and "
                "sql_waiting). Try again.",
                retry_after=2,
            )
        self._waiting += 1
        try:
            await self._running.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._running.release()

    async def _reached(self) -> Reached:
        try:
            events = self._store.head()
            telemetry = await self._telemetry_head()
            await self._engine.reached(events, self.limits.timeout_s)
        except ViewBehind as error:
            raise Unavailable(
                f"The read models are not available yet: {error} Try again.", retry_after=2
            ) from None
        return Reached(events, telemetry)

    async def _frames(self, worker: Worker, run: Run) -> AsyncGenerator[Frame, None]:
        """Yields HEAD and BODY frames, or a REFUSED one. Raises Invalid."""
        erasures = self._workers.erasures
        try:
            async with aclosing(self._workers.frames(worker, run)) as frames:
                async for frame in frames:
                    if frame.kind in (HEAD, BODY, REFUSED, END):
                        yield frame
        except Closed:
            raise
        except TimeoutError:
            raise Invalid(
                f"The query took more than the {self.limits.timeout_s:g} s of the setting sql_timeout_s. Ask for less, "
                "such as a shorter time."
            ) from None
        except Exhausted:
            raise self._exhausted() from None
        except NoAnswer as error:
            if self._workers.erasures != erasures:
                raise Unavailable(
                    "Deleted content was erased while the query ran. Try again.", retry_after=1
                ) from None
            logger.warning("a query ended its process: %s", error)
            code = error.code or 0
            cause = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            raise Invalid(
                f"The query ended the process that ran it ({cause}), as one that is nested very deeply or needs very much "
                "memory can. Ask for less."
            ) from None

    def _exhausted(self) -> Invalid:
        return Invalid(
            f"The query needs more memory than the {self.limits.memory_bytes} bytes of the setting sql_memory_bytes allow. "
            "Ask for less, or aggregate more."
        )


def _limit(head: Head, request: SqlRequest) -> str:
    is_own = head.truncated == "rows" and request.limit is not None and request.limit <= head.rows
    return "limit" if is_own else _LIMITS[head.truncated]


async def _payloads(frames: AsyncIterator[Frame]) -> AsyncIterator[bytes]:
    async for frame in frames:
        yield frame.payload


async def _messages(frames: AsyncIterator[Frame]) -> AsyncIterator[bytes | SqlEnd]:
    async for frame in frames:
        if frame.kind == REFUSED:
            raise _refused(frame)
        if frame.kind == END:
            head = msgspec.json.decode(frame.payload, type=Head)
            yield SqlEnd(_LIMITS[head.truncated], head.rows)
        else:
            yield frame.payload


def _refused(frame: Frame) -> ReplaystackError:
    refusal = msgspec.json.decode(frame.payload, type=Refusal)
    return of_status(refusal.status, refusal.detail)


def _unavailable(error: NoAnswer) -> Unavailable:
    if isinstance(error, Closed):
        return Unavailable("The server is shutting down.", retry_after=5)
    return Unavailable("The process that runs SQL ended. Try again.", retry_after=2)
