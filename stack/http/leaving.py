"""Work on behalf of one client, which is cancelled when that client disconnects."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from litestar.types import Receive

from stack.errors import ReplaystackError

T = TypeVar("T")


class ClientLeft(ReplaystackError):
    """The client disconnected before its response was ready. The status is for the access log, as in
    nginx."""

    status, title = 499, "Client Closed Request"


async def until_disconnected(work: Coroutine[Any, Any, T], receive: Receive) -> T:
    """Returns the result of the work. If the client disconnects first, cancels it, waits for its end and
    raises ClientLeft. `receive` is that of a request whose body has been read."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(disconnected(receive))
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


async def disconnected(receive: Receive) -> None:
    """Waits until the client disconnects."""
    while (await receive())["type"] != "http.disconnect":
        pass
