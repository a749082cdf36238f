"""The only fetcher for URLs of callers: public https only, checked at every step.

A name is resolved once and the connection uses exactly the address that was checked, so a name server that
later returns another address has no effect; TLS is verified against the name. Each redirect is checked in the
same way. Proxies of the environment are not used: a proxy would resolve the name again, inside the network.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from stack.errors import Invalid, UpstreamFailed, UpstreamTimeout
from stack.providers.fetch.addresses import Address, Network, is_public
from stack.providers.fetch.port import Fetched
from stack.providers.fetch.resolver import Resolve, resolve
from stack.providers.fetch.target import Target, parse, redirected, shown_url

if TYPE_CHECKING:
    from stack.providers.fetch.exchange import Answer

logger = logging.getLogger("replaystack.fetch")

MAX_REDIRECTS = 5
MAX_CONCURRENT = 16
# One address may be unreachable while the next one responds (commonly IPv6 without a route).
CONNECT_ADDRESSES = 3
_REDIRECTS = (301, 302, 303, 307, 308)


class GuardedFetcher:
    """Safe to share. `allow` are networks that are reachable in addition to the public ones, `ports` those
    that a URL may name; `ssl_context` holds the trusted authorities (by default the system's). At most 16
    fetches run at once; waiting for one of the 16 counts towards a fetch's time."""

    def __init__(
        self,
        *,
        allow: Iterable[Network] = (),
        ports: Iterable[int] = (443,),
        ssl_context: ssl.SSLContext | None = None,
        resolver: Resolve = resolve,
    ) -> None:
        self._allow = tuple(allow)
        self._ports = frozenset(ports)
        self._context = ssl_context
        self._resolve = resolver
        self._places = asyncio.Semaphore(MAX_CONCURRENT)

    async def fetch(self, url: str, *, max_bytes: int, timeout_s: float, accept: str = "*/*") -> Fetched:
        """See `port.Fetcher`. At most 5 redirects are followed, to https only."""
        target = parse(url, self._ports)
        try:
            async with asyncio.timeout(timeout_s), self._places:
                return await self._follow(target, max_bytes, accept)
        except TimeoutError:
            raise UpstreamTimeout(f"{shown_url(url)} did not come within {timeout_s:g} s.") from None

    async def _follow(self, target: Target, max_bytes: int, accept: str) -> Fetched:
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._get(target, max_bytes, accept)
            if answer.status == 200:
                return Fetched(answer.body, answer.headers.get("content-type", ""), target.url)
            location = answer.headers.get("location", "")
            if answer.status not in _REDIRECTS or not location:
                raise _refused(target, answer.status)
            target = redirected(target, location, self._ports)
        raise Invalid(f"{target.shown} is the end of more than {MAX_REDIRECTS} redirects.")

    async def _get(self, target: Target, max_bytes: int, accept: str) -> Answer:
        # h11 takes 10 ms to import, and many servers fetch nothing.
        from stack.providers.fetch.exchange import get

        addresses = await checked_addresses(target, self._resolve, self._allow)
        failure: Exception | None = None
        for address in addresses:
            try:
                return await get(target, address, await self._trusted(), max_bytes=max_bytes, accept=accept)
            except ssl.SSLCertVerificationError as error:
                raise UpstreamFailed(
                    f"{target.shown}: the server's certificate was not accepted: {error.verify_message}."
                ) from None
            except OSError as error:
                logger.debug("%s at %s: %s", target.shown, address, error)
                failure = error
        raise UpstreamFailed(f"{target.shown} could not be reached: {_reason(failure)}.") from None

    async def _trusted(self) -> ssl.SSLContext:
        if self._context is None:
            # Loading the system's authorities takes about 20 ms.
            self._context = await asyncio.to_thread(ssl.create_default_context)
        return self._context


async def checked_addresses(
    target: Target,
    resolver: Resolve = resolve,
    allow: Sequence[Network] = (),
    *,
    remedy: str = "Send the content itself.",
) -> Sequence[Address]:
    """Returns the addresses to connect to, all of them checked. If one is not public, and not in `allow`, the name
    is refused: legitimate names do not have both kinds. Raises Invalid."""
    addresses = await resolver(target.host)
    for address in addresses:
        if not is_public(address) and not any(address in network for network in allow):
            raise Invalid(
                f"{target.shown} leads to an address that is not on the public internet; such addresses "
                f"are not fetched. {remedy}"
            )
    if not addresses:
        raise Invalid(f"{target.shown}: the host has no address.")
    return addresses[:CONNECT_ADDRESSES]


def _refused(target: Target, status: int) -> Invalid | UpstreamFailed:
    if status >= 500 or status in (408, 425, 429):
        return UpstreamFailed(f"{target.shown} answered {status}.")
    return Invalid(f"{target.shown} answered {status}; a URL must lead to the content itself.")


def _reason(failure: Exception | None) -> str:
    if isinstance(failure, ssl.SSLError):
        return "TLS failed" + (f" ({failure.reason})" if failure.reason else "")
    if isinstance(failure, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(failure, ConnectionResetError):
        return "the connection was reset"
    if isinstance(failure, TimeoutError):
        return "connecting took too long"
    return getattr(failure, "strerror", None) or "the connection failed"
