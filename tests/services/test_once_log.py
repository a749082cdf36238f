"""Once over a real event log: keys that expire, clocks that jump, and two processes that share the log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from schemas.events.session import SessionCreated
from stack.errors import Conflict
from stack.event_log import open_store
from stack.eventstore import Append, StreamWrite, stream_name
from stack.services.effects import new_id
from stack.services.requests.once import KEY_KEPT_S, RETRY_KEPT_S, Once, Post, Prior

pytestmark = pytest.mark.anyio

DAY_S = 24 * 3600


class Node:
    """A process that uses the log, with a clock that the test sets."""

    def __init__(self, folder: Path) -> None:
        self.ahead_s = 0.0
        self.store = open_store(folder, clock_us=lambda: int(self.clock_s() * 1e6))
        self.once = Once(self.store, self.clock_s)
        self.before_append: Callable[[], Awaitable[None]] | None = None

    def clock_s(self) -> float:
        return time.time() + self.ahead_s

    async def post(self, body: str = "one", key: str = "nightly", retry: int = 0) -> str:
        """The id of the session that the request made, or that its first one made. It is in the log."""

        async def create(command: str) -> str:
            session_id = new_id()
            event = SessionCreated(agent_id="an agent", session_name=body)
            if self.before_append is not None:
                await self.before_append()
            write = StreamWrite(stream_name("session", session_id), 0, [event])
            await self.store.append(Append((write,), command=command))
            return session_id

        made = await self.once.perform(Post("me", "/path", body.encode(), key, retry), create)
        session_id = made.ids["session"] if isinstance(made, Prior) else made
        assert await self.store.read_stream(stream_name("session", session_id))
        return session_id


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path)
    yield node
    node.store.close()


@pytest.fixture
def other(tmp_path: Path, node: Node) -> Iterator[Node]:
    other = Node(tmp_path)
    yield other
    other.store.close()


async def test_an_expired_key_is_new_each_time_it_expires(node: Node) -> None:
    made = []
    for _ in range(4):
        made.append(await node.post())
        node.ahead_s += KEY_KEPT_S - 60
        assert await node.post() == made[-1]
        with pytest.raises(Conflict):
            await node.post("two")
        node.ahead_s += 120
    assert len(set(made)) == 4
    assert node.store.head() == 4


async def test_an_expired_key_may_have_another_body(node: Node) -> None:
    made = []
    for body in ("one", "two", "one", "one"):
        made.append(await node.post(body))
        assert await node.post(body) == made[-1]
        node.ahead_s += KEY_KEPT_S + 60
    assert len(set(made)) == 4


async def test_a_key_expires_over_a_restart(tmp_path: Path) -> None:
    made = []
    for days in (0, 0.5, 2, 2.5, 40, 7300):
        node = Node(tmp_path)
        node.ahead_s = days * DAY_S
        made.append(await node.post())
        node.store.close()
    assert made[0] == made[1] and made[2] == made[3]
    assert len(set(made)) == 4


async def test_a_clock_that_is_set_back_never_makes_a_second_thing(node: Node) -> None:
    node.ahead_s = 40 * DAY_S
    ahead = await node.post()
    for days in (0, -400, 39):
        node.ahead_s = days * DAY_S
        assert await node.post() == ahead
    node.ahead_s = 42 * DAY_S
    assert await node.post() != ahead


async def test_a_retry_joins_for_ten_minutes_only(node: Node) -> None:
    first = await node.post(key="")
    node.ahead_s = RETRY_KEPT_S - 60
    assert await node.post(key="", retry=1) == first
    node.ahead_s = RETRY_KEPT_S + 60
    assert await node.post(key="", retry=1) != first


async def test_a_retry_joins_nothing_old_where_the_log_is_ahead_of_the_clock(node: Node) -> None:
    node.ahead_s = 40 * DAY_S
    await node.post("something else", key="")
    node.ahead_s = 0
    first = await node.post(key="")
    assert await node.post(key="", retry=1) == first
    node.ahead_s = DAY_S
    assert await node.post(key="", retry=1) != first


@pytest.mark.parametrize("expired", [False, True])
async def test_two_processes_with_one_key_make_one_thing(node: Node, other: Node, expired: bool) -> None:
    """Both have looked for the key, and found nothing that counts, before either of them appends."""
    if expired:
        await node.post()
        node.ahead_s = other.ahead_s = KEY_KEPT_S + 60
    arrived = 0
    both = asyncio.Event()

    async def wait() -> None:
        nonlocal arrived
        arrived += 1
        if arrived == 2:
            both.set()
        await both.wait()

    node.before_append = other.before_append = wait
    before = node.store.head()
    first, second = await asyncio.gather(node.post(), other.post())
    assert first == second
    assert max(node.store.head(), other.store.head()) == before + 1
    node.before_append = other.before_append = None
    assert await node.post() == await other.post() == first
