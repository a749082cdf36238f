"""Work for one client, which ends when that client leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from litestar.types import Receive

from stack.errors import ReplaystackError

T = TypeVar("T")


class ClientLeft(ReplaystackError):
    """The client went away before its answer was ready. The status is for the access log, in nginx's sense."""

    status, title = 499, "Client Closed Request"


async def until_left(work: Coroutine[Any, Any, T], receive: Receive) -> T:
    """Returns what the work returns. Cancels it, waits for its end and raises ClientLeft if the client leaves first;
    `receive` is that of a request whose body was read."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(left(receive))
    try:
        await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        if not working.done():
            working.cancel()
        await asyncio.wait([working])
    if working.cancelled():
        raise ClientLeft("The client left before its answer was ready.")
    return working.result()


async def left(receive: Receive) -> None:
    """Waits until the client leaves."""
    while (await receive())["type"] != "http.disconnect":
        pass
