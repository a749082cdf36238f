"""Decisions that turns wait for: made by a request, or by their deadline."""

from __future__ import annotations

import asyncio
import heapq
import logging
from datetime import datetime

from projections import tool_call as call_views
from schemas.api.approval import Approval, DecideRequest
from stack.domain.tool_call import undecided
from stack.errors import Conflict, NotFound, ReplaystackError, Unavailable
from stack.services.effects import Effects
from stack.services.requests.caller import Caller
from stack.services.turns.approval_webhook import ApprovalWebhook
from stack.services.turns.running_turn import RunningTurn
from stack.services.turns.turn import READ, Decision, TurnService
from stack.services.views import Views

logger = logging.getLogger("replaystack.approvals")

RETRY_US = 5_000_000
"""Time after which expiring a decision is tried again, in microseconds."""


class ApprovalService:
    """Lists and makes decisions. `expire` is a background task that refuses what was not decided in time."""

    def __init__(
        self, views: Views, turns: TurnService, effects: Effects, webhook: ApprovalWebhook | None
    ) -> None:
        self._views = views
        self._turns = turns
        self._effects = effects
        self._webhook = webhook
        self._deadlines: list[tuple[int, str]] = []
        self._changed = asyncio.Event()

    async def page(
        self, status: str, start_index: int, limit: int | None, max_bytes: int
    ) -> tuple[list[Approval], bool]:
        return await self._views.read(READ, call_views.approvals, status, start_index, limit, max_bytes)

    async def show(self, approval_id: str) -> Approval:
        """Raises NotFound."""
        found = await self._views.read(READ, call_views.approval, approval_id)
        if found is None:
            raise NotFound(f"There is no approval {approval_id!r}. GET /v1alpha/approvals lists them.")
        return found

    async def decide(
        self, approval_id: str, request: DecideRequest, caller: Caller, command: str = ""
    ) -> Approval:
        """Records the decision and continues the turn if nothing else is pending. Returns the approval as it is then.

        Raises NotFound, Conflict if it was decided before, its deadline has passed, its turn ended or `digest` differs,
        Invalid for a decision that its kind does not have.
        """
        found = await self.show(approval_id)
        if request.digest is not None and request.digest != found.digest:
            raise Conflict("The digest is not that of the call: it was not the call that was shown.")
        if found.status == "void":
            raise Conflict("The turn of this call has ended; nothing waits for the decision.")
        if found.status != "pending":
            raise Conflict(f"It was decided before: {found.status}.")
        await self._turns.decide(_decision(found, request.decision, request), caller, command)
        return await self.show(approval_id)

    def waits(self, turn: RunningTurn) -> None:
        """Called when a turn begins to wait for input."""
        asked = [one.asked for one in undecided(turn.state.requests)]
        self._watch([(one.deadline, one.request_id) for one in asked])
        if self._webhook is not None and asked:
            self._webhook.send(turn, asked)

    def _watch(self, requests: list[tuple[int, str]]) -> None:
        """Adds pending decisions: `(deadline in microseconds since 1970, id)`."""
        for one in requests:
            heapq.heappush(self._deadlines, one)
        self._changed.set()

    async def expire(self) -> None:
        """Watches the pending decisions of earlier processes too. Never returns."""
        await self._watch_pending()
        while True:
            self._changed.clear()
            now_us = self._effects.now_us()
            while self._deadlines and self._deadlines[0][0] <= now_us:
                _, approval_id = heapq.heappop(self._deadlines)
                await self._expire(approval_id)
            wait_s = (self._deadlines[0][0] - now_us) / 1e6 if self._deadlines else None
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _expire(self, approval_id: str) -> None:
        """Refuses one decision that was not made; tries again later if it cannot be recorded now."""
        try:
            found = await self.show(approval_id)
            if found.status == "pending":
                await self._turns.expire(_decision(found, "expired"))
        except (Conflict, Unavailable) as error:
            # Another decision on the turn came at the same time, or the log takes no events.
            logger.info("approval %s could not be expired yet: %s", approval_id, error.detail)
            self._watch([(self._effects.now_us() + RETRY_US, approval_id)])
        except NotFound:
            return
        except ReplaystackError as error:
            logger.warning("approval %s could not be expired: %s", approval_id, error.detail)

    async def _watch_pending(self) -> None:
        """Watches what earlier processes left; tries again until the read models are available."""
        start, has_more = 0, True
        while has_more:
            try:
                page, has_more = await self._views.read(READ, call_views.approvals, "pending", start)
            except Unavailable as error:
                logger.warning("pending approvals could not be read yet: %s", error.detail)
                await asyncio.sleep(RETRY_US / 1e6)
                continue
            self._watch([(_microseconds(one.deadline), one.approval_id) for one in page])
            start += len(page)


def _decision(found: Approval, decision: str, request: DecideRequest | None = None) -> Decision:
    return Decision(
        session_id=found.session_id,
        turn_id=found.turn_id,
        call_id=found.call_id,
        request_id=found.approval_id,
        decision=decision,
        reason=(request.reason if request is not None else None) or "",
        content=request.content if request is not None else None,
    )


def _microseconds(time: str) -> int:
    """Returns microseconds since 1970 of a time in RFC 3339."""
    return round(datetime.fromisoformat(time).timestamp() * 1e6)
