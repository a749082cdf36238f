"""Resolves names to addresses, in threads that are not waited for at exit."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from threading import BoundedSemaphore, Thread

from stack.errors import Invalid, UpstreamFailed
from stack.providers.fetch.addresses import Address, parse

Resolve = Callable[[str], Awaitable[Sequence[Address]]]
"""Returns all addresses of a host name, in the order to try. Raises Invalid for a name that does not exist
and UpstreamFailed for a temporary failure. The caller limits the time."""

# A look-up cannot be interrupted and may hang for half a minute, so each has a separate thread (a pool would
# fill up, and would be joined at exit), and the number of hanging ones is limited.
_MAX_LOOK_UPS = 32
_slots = BoundedSemaphore(_MAX_LOOK_UPS)


async def resolve(host: str) -> Sequence[Address]:
    """Uses the system's resolver, as configured on this machine."""
    literal = parse(host)
    if literal is not None:
        return (literal,)
    if not _slots.acquire(blocking=False):
        raise UpstreamFailed("Too many host names are being looked up. Check the server's DNS, or try again.")
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Sequence[Address]] = loop.create_future()

    def settle(addresses: Sequence[Address], error: Exception | None) -> None:
        if not found.done():
            found.set_exception(error) if error else found.set_result(addresses)

    def look_up() -> None:
        addresses: Sequence[Address] = ()
        error: Exception | None = None
        try:
            addresses = _addresses(host)
        except socket.gaierror as failure:
            error = _explained(host, failure)
        except (OSError, UnicodeError) as failure:
            error = UpstreamFailed(f"The host name {host!r} could not be looked up: {failure}.")
        finally:
            _slots.release()
        try:
            loop.call_soon_threadsafe(settle, addresses, error)
        except RuntimeError:  # the loop is closed: the result is no longer needed
            return

    Thread(target=look_up, name="resolve", daemon=True).start()
    return await found


def _addresses(host: str) -> list[Address]:
    answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    texts = dict.fromkeys(str(answer[4][0]) for answer in answers)
    return [address for text in texts if (address := parse(text)) is not None]


def _explained(host: str, failure: socket.gaierror) -> Invalid | UpstreamFailed:
    if failure.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)):
        return Invalid(f"The host name {host!r} does not exist.")
    return UpstreamFailed(f"The host name {host!r} could not be looked up: {failure.strerror}.")
