"""Once: requests of one key that meet at awkward moments. The store is a fake whose lookups can be held."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from stack.errors import Conflict, Invalid, ReplaystackError, Unavailable
from stack.eventstore import Command, EventStore, stream_name
from stack.services.requests.once import Once, Post, Prior

pytestmark = pytest.mark.anyio


class HeldStore:
    """Knows the commands that were recorded; a lookup returns when `open` is set."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.open = asyncio.Event()
        self.open.set()
        self.lookups = 0

    async def find_command(self, prefix: str, since_us: int = 0) -> Command | None:
        self.lookups += 1
        found = [command for command in self.commands if command.command.startswith(prefix)]
        await self.open.wait()
        return found[-1] if found else None


class Requests:
    def __init__(self) -> None:
        self.store = HeldStore()
        self.once = Once(cast(EventStore, self.store), clock_s=lambda: 1.0)
        self.done = 0

    async def post(self, body: str, error: ReplaystackError | None = None) -> Any:
        """The id of what the key's first request made, or the error that it ended with."""

        async def work(command: str) -> str:
            await asyncio.sleep(0)
            if error is not None:
                raise error
            self.done += 1
            made = f"{self.done:032x}"
            self.store.commands.append(Command(command, 1, 1, (stream_name("turn", made),)))
            return made

        try:
            made = await self.once.perform(Post("me", "/path", body.encode(), key="a key"), work)
        except ReplaystackError as refusal:
            return refusal
        return made.ids["turn"] if isinstance(made, Prior) else made


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_request_that_conflicts_is_not_in_the_way_of_one_that_repeats() -> None:
    requests = Requests()
    made = await requests.post("one")
    requests.store.open.clear()
    two = asyncio.create_task(requests.post("two"))
    await settle()
    again = asyncio.create_task(requests.post("one"))
    await settle()
    requests.store.open.set()
    assert isinstance(await two, Conflict)
    assert await again == made
    assert await requests.post("one") == made
    assert requests.done == 1


async def test_of_many_at_the_same_moment_one_body_is_done_once() -> None:
    requests = Requests()
    answers = await asyncio.gather(*[requests.post(body) for body in ("one", "two", "one", "two", "two")])
    assert [type(answer) for answer in answers] == [str, Conflict, str, Conflict, Conflict]
    assert requests.done == 1


async def test_what_is_refused_for_a_while_is_tried_again_by_whoever_waits() -> None:
    requests = Requests()
    answers = await asyncio.gather(
        requests.post("one", Unavailable("Later.")), requests.post("one"), requests.post("one")
    )
    assert isinstance(answers[0], Unavailable)
    assert answers[1] == answers[2]
    assert requests.done == 1


async def test_a_refusal_of_the_work_stays_whoever_asks_in_between() -> None:
    requests = Requests()
    refusal = Invalid("Never.")
    assert await requests.post("one", refusal) is refusal
    assert isinstance(await requests.post("two"), Conflict)
    assert await requests.post("one") is refusal
    assert requests.done == 0
