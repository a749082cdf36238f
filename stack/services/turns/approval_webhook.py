"""Tells a webhook that a decision is needed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from schemas.events.turn import TurnInputRequested
from stack.providers.webhook import deliver
from stack.runs.supervisor import Supervisor
from stack.services.effects import Effects
from stack.services.turns.running_turn import RunningTurn

logger = logging.getLogger("replaystack.approvals")

PAUSES_S = (1.0, 5.0, 30.0)
"""Pauses before each retry, in seconds."""
MAX_WAITING = 256
"""Maximum number of deliveries that wait; further ones are logged and dropped: the list has them all."""


class ApprovalWebhook:
    """Delivers in the background, at least once per request; `webhook-id` is the approval's id. Without arguments or
    content, which are read from the server."""

    def __init__(self, url: str, secret: str, supervisor: Supervisor, effects: Effects) -> None:
        self._url = url
        self._secret = secret
        self._supervisor = supervisor
        self._effects = effects
        self._waiting = 0

    def send(self, turn: RunningTurn, asked: Sequence[TurnInputRequested]) -> None:
        for one in asked:
            if self._waiting >= MAX_WAITING:
                logger.warning(
                    "the webhook was not told of approval %s: too many are waiting", one.request_id
                )
                continue
            self._waiting += 1
            self._supervisor.spawn(
                f"webhook {one.request_id}",
                self._deliver(one.request_id, self._body(turn, one)),
                listed=False,
            )

    def _body(self, turn: RunningTurn, one: TurnInputRequested) -> bytes:
        data = {
            "approval_id": one.request_id,
            "kind": one.kind,
            "agent_id": turn.state.agent_id,
            "session_id": turn.session_id,
            "turn_id": turn.turn_id,
            "tool_name": one.tool_name,
            "toolgroup": one.toolgroup,
            "digest": one.digest,
            "deadline_us": one.deadline,
        }
        return msgspec.json.encode({"type": "approval.requested", "data": data})

    async def _deliver(self, approval_id: str, body: bytes) -> None:
        problem = ""
        try:
            for pause_s in (0.0, *PAUSES_S):
                await asyncio.sleep(pause_s)
                now_s = self._effects.now_us() // 1_000_000
                problem = await deliver(self._url, self._secret, approval_id, now_s, body)
                if not problem:
                    return
            logger.warning("the webhook was not told of approval %s: %s", approval_id, problem)
        finally:
            self._waiting -= 1
