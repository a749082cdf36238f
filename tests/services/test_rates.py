"""Token buckets on a clock of the test's own."""

from __future__ import annotations

import pytest

from stack.errors import TooManyRequests
from stack.services.requests import rates
from stack.services.requests.rates import Buckets, RateLimits, callers_of
from stack.settings import Settings


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def limits(clock: Clock, **settings: int) -> RateLimits:
    none = {
        "max_requests_per_minute": 0,
        "max_model_tokens_per_minute": 0,
        "max_appended_bytes_per_minute": 0,
        "max_wrong_keys_per_minute": 0,
    }
    return RateLimits(Settings(rate_limits="on", **(none | settings)), clock)


def admitted(limited: RateLimits, actor: str = "", address: str = "10.0.0.1") -> int:
    """How many requests are let in at once."""
    for count in range(1000):
        try:
            limited.admit(actor, address, appends=False)
        except TooManyRequests:
            return count
    return 1000


def test_a_bucket_fills_again_and_holds_ten_seconds() -> None:
    clock = Clock()
    limited = limits(clock, max_requests_per_minute=60)
    assert admitted(limited) == 10
    clock.now_s += 3
    assert admitted(limited) == 3
    clock.now_s += 3600
    assert admitted(limited) == 10


def test_a_bucket_may_become_negative_and_says_how_long() -> None:
    clock = Clock()
    buckets = Buckets(60, clock)
    buckets.charge("a", 40)
    assert buckets.wait_s("a") == pytest.approx(31)
    assert buckets.wait_s("b") == 0
    clock.now_s += 31
    assert buckets.wait_s("a") == 0


@pytest.mark.parametrize("per_minute", [1, 5, 59])
def test_a_small_limit_lets_one_in(per_minute: int) -> None:
    clock = Clock()
    limited = limits(clock, max_requests_per_minute=per_minute)
    assert admitted(limited) >= 1
    with pytest.raises(TooManyRequests) as refused:
        limited.admit("", "10.0.0.1", appends=False)
    assert refused.value.retry_after is not None
    clock.now_s += refused.value.retry_after
    assert admitted(limited) >= 1


def test_keys_and_addresses_have_buckets_of_their_own() -> None:
    limited = limits(Clock(), max_requests_per_minute=60)
    assert admitted(limited, "ada", "10.0.0.1") == 10
    assert admitted(limited, "ada", "10.0.0.2") == 0
    assert admitted(limited, "bob", "10.0.0.1") == 0
    assert admitted(limited, "bob", "10.0.0.2") == 10


def test_a_refused_request_costs_nothing() -> None:
    clock = Clock()
    limited = limits(clock, max_requests_per_minute=60)
    for _ in range(3):
        admitted(limited, "ada", "10.0.0.1")
    clock.now_s += 1
    assert admitted(limited, "ada", "10.0.0.1") == 1


def test_bytes_refuse_only_what_appends() -> None:
    clock = Clock()
    limited = limits(clock, max_appended_bytes_per_minute=600)
    callers = limited.admit("ada", "10.0.0.1", appends=True)
    limited.charge_bytes(callers, 700)
    limited.admit("ada", "10.0.0.1", appends=False)
    with pytest.raises(TooManyRequests, match="max_appended_bytes_per_minute"):
        limited.admit("ada", "10.0.0.1", appends=True)
    clock.now_s += 61
    limited.admit("ada", "10.0.0.1", appends=True)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MAX_BUCKETS", 10)
    limited = limits(Clock(), max_requests_per_minute=60, max_wrong_keys_per_minute=60)
    for number in range(100):
        limited.admit("", f"10.0.1.{number}", appends=False)
        limited.key_was_wrong(f"10.0.1.{number}")
    assert len(limited._requests._levels) == len(limited._wrong_keys._levels) == 10


def test_wrong_keys_of_an_address_are_limited() -> None:
    clock = Clock()
    limited = limits(clock, max_wrong_keys_per_minute=60)
    for _ in range(10):
        limited.key_was_wrong("10.0.0.1")
    with pytest.raises(TooManyRequests):
        limited.key_was_wrong("10.0.0.1")
    limited.key_was_wrong("10.0.0.2")
    clock.now_s += 1
    limited.key_was_wrong("10.0.0.1")


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_addresses_of_one_client(address: str, place: str) -> None:
    assert callers_of("ada", address) == ("key ada", f"address {place}")


@pytest.mark.parametrize(
    ("mode", "host", "enabled"),
    [
        ("auto", "127.0.0.1", False),
        ("auto", "localhost", False),
        ("auto", "::1", False),
        ("auto", "0.0.0.0", True),
        ("auto", "", True),
        ("on", "127.0.0.1", True),
        ("off", "0.0.0.0", False),
    ],
)
def test_loopback_is_not_limited_by_default(mode: str, host: str, enabled: bool) -> None:
    assert RateLimits(Settings(rate_limits=mode, host=host)).enabled is enabled  # type: ignore[arg-type]
