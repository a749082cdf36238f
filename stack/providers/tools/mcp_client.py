"""Lists and calls the tools of one MCP server.

Imports the SDK: import this module only in the thread of MCP clients.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from mcp import MCPError
from mcp.client.session import ClientRequestContext, ClientSession
from mcp.types import (
    CONNECTION_CLOSED,
    HEADER_MISMATCH,
    INVALID_REQUEST,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    ElicitRequest,
    ElicitRequestParams,
    ElicitResult,
    ErrorData,
    InputRequiredResult,
    PaginatedRequestParams,
)
from pydantic import TypeAdapter, ValidationError

from stack.errors import ReplaystackError, UpstreamFailed, UpstreamTimeout
from stack.providers.tools.mcp_http import LOST, NOT_SENT, SESSION_GONE
from stack.providers.tools.mcp_listing import MAX_PAGES, Collector, Listing
from stack.providers.tools.mcp_parts import listed, parts_of, resource_part
from stack.providers.tools.mcp_question import (
    BadState,
    CallState,
    answered,
    call_id,
    next_round,
    question_id,
    read_state,
    suspended,
)
from stack.providers.tools.mcp_result import Part, Returned, failed, result_of
from stack.providers.tools.mcp_session import Connect, Session, reason_of
from stack.providers.tools.port import NotCalled, Suspended, ToolRequest, ToolResult
from stack.providers.tools.settings import ToolGroupSettings

logger = logging.getLogger("replaystack.mcp")

CONNECT_S = 30.0
LIST_S = 60.0
MIN_TTL_S = 1.0
MAX_TTL_S = 3_600.0
DEFAULT_TTL_S = 300.0
"""How long a list without a time to live is used, in seconds, unless the server reports a change."""
MAX_SILENT = 3
"""After so many calls in succession without an answer in time, the server is started again."""
KEY_META = "idempotencyKey"
"""The field of `_meta` with the key of a call's effect."""

T = TypeVar("T")

_Outcome: TypeAdapter[CallToolResult | InputRequiredResult] = TypeAdapter(
    CallToolResult | InputRequiredResult
)


class _Running:
    """A call in progress, for questions that the server asks during it (revisions before 2026-07-28)."""

    def __init__(self, repeatable: bool, state: CallState) -> None:
        self.repeatable = repeatable
        self.state = state
        self.asked: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.ended = asyncio.Event()


class _Asked(Exception):
    """The server has asked the user during a call, which was cancelled."""

    def __init__(self, question: dict[str, Any]) -> None:
        self.question = question


async def _unless_asked(answer: Coroutine[Any, Any, T], running: _Running) -> T:
    """Returns the answer to a call. Raises _Asked if the server asks a question first."""
    task = asyncio.create_task(answer)
    try:
        await asyncio.wait((task, running.asked), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise _Asked(running.asked.result())
    finally:
        # Also if this call is cancelled: the SDK then tells the server.
        task.cancel()
        await asyncio.wait([task])


class McpClient:
    """All methods are called in the loop of MCP clients. `where` names the server in messages."""

    def __init__(self, where: str, settings: ToolGroupSettings, connect: Connect) -> None:
        self._where = where
        self._settings = settings
        self.session = Session(
            where,
            connect,
            connect_timeout_s=max(CONNECT_S, settings.timeout_s),
            on_elicitation=self._elicit,
            on_change=self._changed,
        )
        self.listing: Listing | None = None
        self._stale = False
        self._listed_in: ClientSession | None = None
        self._listing_lock = asyncio.Lock()
        self._silent = 0
        self._logged: tuple[str, ...] = ()
        self._running: set[_Running] = set()

    async def tools(self) -> Listing:
        """Returns the list of tools, possibly an earlier one within its time to live. Raises UpstreamFailed and
        UpstreamTimeout."""
        try:
            return await self._current_listing(await self.session.current())
        except NotCalled as error:
            raise UpstreamFailed(str(error)) from None

    async def call(self, request: ToolRequest) -> ToolResult | Suspended:
        """See `port.ToolGroup.call`."""
        call = call_id(request.tool, request.arguments)
        try:
            state = CallState(call=call)
            if request.state is not None:
                continued = answered(read_state(request.state, call), request.answer)
                if isinstance(continued, Suspended):
                    return continued
                state = continued
            return await self._called(request, state)
        except BadState as error:
            return failed(str(error))

    async def read_resource(self, uri: str) -> list[Part]:
        """Returns the contents of a resource. Raises UpstreamFailed and UpstreamTimeout."""
        timeout_s = self._settings.timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                session = await self.session.current()
                read = await session.read_resource(uri)
        except NotCalled as error:
            raise UpstreamFailed(str(error)) from None
        except TimeoutError:
            raise UpstreamTimeout(f"{self._where} did not send {uri[:200]} within {timeout_s:g} s.") from None
        except (MCPError, ValidationError, RuntimeError) as error:
            raise UpstreamFailed(f"{self._where} did not send {uri[:200]}: {reason_of(error)}.") from None
        return [resource_part(one) for one in read.contents]

    @property
    def busy(self) -> bool:
        return bool(self._running)

    def problems(self) -> list[str]:
        failure = f"{self._where} is not available: {self.session.failure}." if self.session.failure else ""
        return [*filter(None, [failure]), *(self.listing.problems if self.listing else ())]

    async def aclose(self) -> None:
        await self.session.aclose()

    async def _called(self, request: ToolRequest, state: CallState) -> ToolResult | Suspended:
        timeout_s = self._settings.timeout_s
        sent = False
        try:
            async with asyncio.timeout(timeout_s):
                for _ in range(2):
                    session = await self.session.current()
                    listing = await self._listing_for(session)
                    sent = True
                    try:
                        return await self._rounds(session, listing, request, state)
                    except MCPError as error:
                        if error.error.code not in (SESSION_GONE, HEADER_MISMATCH):
                            return self._refused(error)
                        # It was not executed, and is sent again over a new session, or with the current schema.
                        sent = False
                        if error.error.code == SESSION_GONE:
                            self.session.drop("the server has ended the session")
                        self._changed()
                raise NotCalled(f"{self._where} did not accept the call.")
        except TimeoutError:
            if not sent:
                raise NotCalled(f"{self._where} was not ready within {timeout_s:g} s.") from None
            self._silent += 1
            if self._silent >= MAX_SILENT:
                self.session.drop(f"it did not answer {self._silent} calls in succession")
            raise UpstreamTimeout(f"{self._where}: the tool did not answer within {timeout_s:g} s.") from None
        except ReplaystackError as error:
            if not sent:
                raise NotCalled(error.detail) from None
            raise

    async def _rounds(
        self, session: ClientSession, listing: Listing, request: ToolRequest, state: CallState
    ) -> ToolResult | Suspended:
        """Sends the call; again at once if the server only asks to continue with its state."""
        pause_s = 0.05
        while True:
            outcome = await self._sent(session, listing, request, state)
            if not isinstance(outcome, InputRequiredResult):
                return outcome
            self._succeeded()
            state = _next_round(state, outcome)
            if state.questions:
                return suspended(state)
            await asyncio.sleep(pause_s)
            pause_s = min(0.25, 2 * pause_s)

    async def _sent(
        self, session: ClientSession, listing: Listing, request: ToolRequest, state: CallState
    ) -> ToolResult | Suspended | InputRequiredResult:
        definition = listing.tools.get(request.tool)
        running = _Running(definition is not None and definition.repeatable, state)
        self._running.add(running)
        try:
            answer = self._answer(session, request, state)
            if running.repeatable and session.discover_result is None:
                outcome = await _unless_asked(answer, running)
            else:
                outcome = await answer
        except _Asked as asked:
            return _asked_during(state, asked.question)
        except ValidationError as error:
            return failed(f"The server's answer is not a result of a tool: {_first(error)}.")
        finally:
            self._running.discard(running)
            running.ended.set()
        if isinstance(outcome, InputRequiredResult):
            return outcome
        self._succeeded()
        return result_of(
            Returned(
                parts=parts_of(outcome.content),
                structured=outcome.structured_content,
                is_error=outcome.is_error,
            ),
            tool=request.tool,
            max_bytes=self._settings.max_result_bytes,
            output_schema=None if definition is None else definition.output_schema,
        )

    async def _answer(
        self, session: ClientSession, request: ToolRequest, state: CallState
    ) -> CallToolResult | InputRequiredResult:
        responses = None
        if state.questions and not state.replay:
            responses = {
                key: ElicitResult(action=given.action, content=given.content)  # type: ignore[arg-type]
                for key, given in state.answers.items()
                if key in state.questions
            }
        params = CallToolRequestParams(
            name=request.tool,
            arguments=request.arguments,
            input_responses=responses,  # type: ignore[arg-type]
            request_state=state.server_state,
            _meta={KEY_META: request.key},  # type: ignore[arg-type]
        )
        # Not `call_tool`: it validates results with schemas of the server in ways that can take for ever.
        return await session.send_request(CallToolRequest(params=params), _Outcome)

    def _succeeded(self) -> None:
        self._silent = 0
        self.session.succeeded()

    def _refused(self, error: MCPError) -> ToolResult:
        """Returns the result for an error of the server. Raises NotCalled and UpstreamFailed for failures of the
        connection."""
        code, message = error.error.code, error.error.message[:2_000]
        if code == NOT_SENT:
            raise NotCalled(f"{self._where}: {message}")
        if code == LOST:
            raise UpstreamFailed(f"{self._where}: {message}")
        if code == CONNECTION_CLOSED:
            raise UpstreamFailed(
                f"{self._where} ended during the call: {self.session.why_ended() or message}."
            )
        self._succeeded()
        return failed(f"The server refused the call: {message} (code {code}).")

    # Questions during a call

    async def _elicit(
        self, context: ClientRequestContext, params: ElicitRequestParams
    ) -> ElicitResult | ErrorData:
        question = params.model_dump(by_alias=True, mode="json", exclude_none=True)
        question.pop("_meta", None)
        # A request of the server does not say to which call it belongs.
        running = next(iter(self._running)) if len(self._running) == 1 else None
        if running is not None and running.repeatable:
            given = running.state.answers.get(question_id(question))
            if given is not None:
                return ElicitResult(action=given.action, content=given.content)  # type: ignore[arg-type]
            if not running.asked.done():
                running.asked.set_result(question)
                await running.ended.wait()
            return ErrorData(code=INVALID_REQUEST, message="The call was cancelled, and is made again later.")
        logger.info("%s: a question during a call was answered `cancel`", self._where)
        return ElicitResult(action="cancel")

    # The list of tools

    def _changed(self) -> None:
        self._stale = True

    async def _listing_for(self, session: ClientSession) -> Listing:
        """Returns the list for a call: of any age, but read in this session, which needs it for HTTP headers."""
        if self.listing is not None and self._listed_in is session and not self._stale:
            return self.listing
        return await self._current_listing(session)

    async def _current_listing(self, session: ClientSession) -> Listing:
        async with self._listing_lock:
            now = asyncio.get_running_loop().time()
            fresh = self.listing is not None and not self._stale and now < self.listing.expires_at
            if self.listing is None or not fresh or self._listed_in is not session:
                # A change that is reported meanwhile counts for the next time.
                self._stale = False
                try:
                    async with asyncio.timeout(LIST_S):
                        self.listing = await self._read_list(session)
                except TimeoutError:
                    self._stale = True
                    raise UpstreamTimeout(
                        f"{self._where} did not list its tools within {LIST_S:g} s."
                    ) from None
                except (MCPError, ValidationError, RuntimeError, ValueError) as error:
                    self._stale = True
                    reason = _first(error) if isinstance(error, ValidationError) else reason_of(error)
                    raise UpstreamFailed(f"{self._where} did not list its tools: {reason}.") from None
                self._listed_in = session
                self._succeeded()
                self._log_problems(self.listing.problems)
            return self.listing

    def _log_problems(self, problems: tuple[str, ...]) -> None:
        """Logs problems that the previous list did not have."""
        for problem in problems:
            if problem not in self._logged:
                logger.warning("%s: %s", self._where, problem)
        self._logged = problems

    async def _read_list(self, session: ClientSession) -> Listing:
        collector = Collector(self._settings.repeatable, self._settings.trust_annotations)
        cursor: str | None = None
        ttl_s = MAX_TTL_S
        for _ in range(MAX_PAGES):
            page = await session.list_tools(params=PaginatedRequestParams(cursor=cursor))
            collector.add(listed(page.tools))
            modern = session.discover_result is not None
            ttl_s = min(ttl_s, page.ttl_ms / 1000 if modern else DEFAULT_TTL_S)
            cursor = page.next_cursor
            if cursor is None or collector.full:
                break
        else:
            collector.report(f"The list of tools has more than {MAX_PAGES} pages; the rest is ignored.")
        return collector.listing(asyncio.get_running_loop().time() + max(MIN_TTL_S, ttl_s))


def _next_round(state: CallState, outcome: InputRequiredResult) -> CallState:
    """Returns the state after `input_required`. Raises BadState."""
    questions: dict[str, dict[str, Any]] = {}
    for key, asked in (outcome.input_requests or {}).items():
        if not isinstance(asked, ElicitRequest):
            raise BadState(
                f"The tool needs {asked.method} of the client, which this server does not offer: the call ended."
            )
        question = asked.params.model_dump(by_alias=True, mode="json", exclude_none=True)
        question.pop("_meta", None)
        questions[key] = question
    return next_round(state, questions, server_state=outcome.request_state)


def _asked_during(state: CallState, question: Mapping[str, Any]) -> Suspended:
    return suspended(next_round(state, {question_id(question): dict(question)}, replay=True))


def _first(error: ValidationError) -> str:
    """Returns the first problem of a message, without its content."""
    found = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, found['loc']))}: {found['msg']}"[:300]
