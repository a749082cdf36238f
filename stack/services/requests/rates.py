"""Rate limits: token buckets for each API key and each client address.

A bucket holds ten seconds' worth of its limit and fills continuously. The cost of a request is known only
after it was served (received bytes, tokens of a model), so a bucket may become negative, and its caller waits
until it is full enough again. The least recently used buckets are removed first: memory is bounded.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import lru_cache
from typing import TypeVar

from cachetools import LRUCache

from stack.errors import TooManyRequests
from stack.settings import Settings, is_loopback

MAX_BUCKETS = 10_000
BURST_S = 10.0
"""The period whose allowance a bucket holds, in seconds."""

Callers = tuple[str, ...]
"""The buckets charged for a request: its key and its address. Empty if nothing is limited."""

T = TypeVar("T")

_payer: ContextVar[Callers] = ContextVar("payer", default=())
"""The callers of the current request, also in tasks that it started: a turn continues after its request."""


class Buckets:
    """One limit, with a bucket for each caller. `per_minute` 0 means no limit."""

    def __init__(self, per_minute: float, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_minute / 60
        self._most = max(1.0, self._per_s * BURST_S)
        self._clock_s = clock_s
        # For each caller the level, and the time at which it was computed.
        self._levels: LRUCache[str, tuple[float, float]] = LRUCache(MAX_BUCKETS)

    def wait_s(self, caller: str) -> float:
        """Returns the seconds until the caller's next request is allowed; 0 if it is now."""
        if not self._per_s:
            return 0.0
        missing = min(1.0, self._most) - self._level(caller)
        return max(0.0, missing / self._per_s)

    def charge(self, caller: str, amount: float) -> None:
        if not self._per_s or not amount:
            return
        self._levels[caller] = (self._level(caller) - amount, self._clock_s())

    def _level(self, caller: str) -> float:
        known = self._levels.get(caller)
        if known is None:
            return self._most
        level, at_s = known
        return min(self._most, level + (self._clock_s() - at_s) * self._per_s)


class RateLimits:
    """All limits of a server. Used on one event loop. `enabled` is False if nothing is limited."""

    def __init__(self, settings: Settings, clock_s: Callable[[], float] = time.monotonic) -> None:
        mode = settings.rate_limits
        self.enabled = mode == "on" or (mode == "auto" and not is_loopback(settings.host))
        self._requests = Buckets(settings.max_requests_per_minute, clock_s)
        self._tokens = Buckets(settings.max_model_tokens_per_minute, clock_s)
        self._bytes = Buckets(settings.max_appended_bytes_per_minute, clock_s)
        self._wrong_keys = Buckets(settings.max_wrong_keys_per_minute, clock_s)

    def admit(self, actor: str, address: str, appends: bool) -> Callers:
        """Counts a request and charges its later costs to the same callers. Raises TooManyRequests."""
        callers = callers_of(actor, address)
        _allow(self._requests, callers, "requests", "max_requests_per_minute")
        if appends:
            _allow(self._bytes, callers, "bytes", "max_appended_bytes_per_minute")
        for caller in callers:
            self._requests.charge(caller, 1)
        _payer.set(callers)
        return callers

    def charge_bytes(self, callers: Callers, size: int) -> None:
        for caller in callers:
            self._bytes.charge(caller, size)

    def require_tokens(self) -> None:
        """Must be called before models are called for the current request. Raises TooManyRequests."""
        _allow(self._tokens, _payer.get(), "model tokens", "max_model_tokens_per_minute")

    def for_models(self, work: Callable[[str], Awaitable[T]]) -> Callable[[str], Awaitable[T]]:
        """Returns `work` preceded by `require_tokens`. Not called for a repeated request, which calls no
        model."""

        async def limited(command: str) -> T:
            self.require_tokens()
            return await work(command)

        return limited

    def charge_tokens(self, count: int) -> None:
        """Charges the tokens of a model's answer to the request or turn that caused it."""
        for caller in _payer.get():
            self._tokens.charge(caller, count)

    def key_was_wrong(self, address: str) -> None:
        """Counts a wrong key, and raises TooManyRequests after many from one address. Valid keys always work:
        an address may be that of a proxy, and one client that guesses keys must not block the others."""
        if not self.enabled:
            return
        callers = callers_of("", address)
        _allow(self._wrong_keys, callers, "wrong keys", "max_wrong_keys_per_minute")
        for caller in callers:
            self._wrong_keys.charge(caller, 1)


@lru_cache(4096)
def callers_of(actor: str, address: str) -> Callers:
    """Returns the names of the buckets of a request. An IPv6 address counts with its /64 network, which
    usually belongs to one client."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        place = address
    else:
        if parsed.version == 6:
            mapped = parsed.ipv4_mapped
            place = str(mapped or ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))
        else:
            place = address
    return (f"key {actor}", f"address {place}") if actor else (f"address {place}",)


def _allow(buckets: Buckets, callers: Callers, what: str, setting: str) -> None:
    for caller in callers:
        wait_s = buckets.wait_s(caller)
        if wait_s > 0:
            seconds = max(1, math.ceil(wait_s))
            raise TooManyRequests(
                f"Too many {what} from this {caller.partition(' ')[0]} ({setting}). Send this again in {seconds} s.",
                retry_after=seconds,
            )
