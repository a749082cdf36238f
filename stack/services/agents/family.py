"""Sessions that share turns: a root, its forks, and their forks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from weakref import WeakValueDictionary

from stack.domain.session import SessionState
from stack.eventstore import Folded
from stack.services.state import States


class Families:
    """All forks and deletions within a family write to the stream of its root, so that of two at the same time one is
    repeated. `lock` orders those of this process, which need not be repeated then."""

    def __init__(self, states: States) -> None:
        self._states = states
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def lock(self, root: str) -> asyncio.Lock:
        return self._locks.setdefault(root, asyncio.Lock())

    async def kept(self, session_id: str, session: SessionState, root: Folded[SessionState]) -> set[str]:
        """Returns the turns of a session to which other existing sessions refer. `root` is that of its family, and may be
        the session itself."""
        forks = root.state.forks
        place = forks.index(session_id) if session_id in forks else -1
        elder = forks[: max(place, 0)]
        if session.root and not root.state.deleted:
            elder = (session.root, *elder)
        left = set(session.turns)
        # Only forks that were made later can share what the session recorded itself.
        shared = left.intersection(session.shared_turns)
        kept = await self._referred(shared, elder)
        left -= kept
        return kept | await self._referred(left, forks[place + 1 :])

    async def _referred(self, turns: set[str], session_ids: Sequence[str]) -> set[str]:
        """Returns those of `turns` to which the sessions refer. One whose turns are unknown may refer to all of them."""
        left = set(turns)
        for session_id in session_ids:
            if not left:
                break
            session, _ = await self._states.session_or_rest(session_id)
            if session.deleted:
                continue
            if session.damage and not session.agent_id:
                return set(turns)
            left.difference_update(session.turns)
        return turns - left
