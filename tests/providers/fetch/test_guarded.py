"""The guarded fetcher against a real HTTPS server."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from ipaddress import ip_address
from urllib.parse import quote

import pytest

from stack.errors import Invalid, ReplaystackError, UpstreamFailed, UpstreamTimeout
from stack.providers.fetch.addresses import Address
from stack.providers.fetch.guarded import GuardedFetcher
from stack.providers.fetch.port import Fetched
from tests.servers.scripted_https import LOOPBACK, HttpsServer, running_https

pytestmark = pytest.mark.anyio


@pytest.fixture
async def server() -> AsyncIterator[HttpsServer]:
    async with running_https() as server:
        server.files["a"] = ("text/plain; charset=utf-8", b"hello")
        yield server


async def get(
    server: HttpsServer, path: str, fetcher: GuardedFetcher | None = None, *, max_bytes: int = 1 << 20
) -> Fetched:
    url = path if path.startswith("https:") else server.base + path
    return await (fetcher or server.fetcher()).fetch(url, max_bytes=max_bytes, timeout_s=30.0)


async def test_a_file_comes_with_its_type(server: HttpsServer) -> None:
    fetched = await get(server, "/file?name=a")
    assert fetched.body == b"hello"
    assert fetched.media_type == "text/plain; charset=utf-8"
    assert fetched.url == f"{server.base}/file?name=a"


async def test_the_request_says_nothing_about_who_asks(
    server: HttpsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    await get(server, "/file?name=a")
    head = server.requests[0].lower()
    assert head.startswith("get /file?name=a http/1.1\r\nhost: files.example:")
    names = {line.split(":")[0] for line in head.strip().split("\r\n")[1:]}
    assert names == {"host", "user-agent", "accept", "accept-encoding", "connection"}


async def test_redirects_are_followed_on_https(server: HttpsServer) -> None:
    to = quote(f"https://other.example:{server.port}/file?name=a")
    fetched = await get(server, f"/redirect?to={to}")
    assert fetched.body == b"hello"
    assert fetched.url == f"https://other.example:{server.port}/file?name=a"


@pytest.mark.parametrize(
    ("to", "problem"),
    [
        ("https://10.0.0.1/", "public internet"),
        ("https://169.254.169.254/latest/meta-data", "public internet"),
        ("https://[::1]/", "public internet"),
        ("https://[::ffff:10.0.0.1]/", "public internet"),
        ("https://inside.example/", "public internet"),
        ("http://files.example/", "https"),
        ("file:///etc/passwd", "https"),
        ("https://user:password@files.example/", "credentials"),
        ("https://files.example:22/", "port 22"),
    ],
)
async def test_redirects_to_where_none_may_go_are_refused(server: HttpsServer, to: str, problem: str) -> None:
    with pytest.raises(Invalid, match=problem) as refused:
        await get(server, f"/redirect?secret=1&to={quote(to)}", server.fetcher(inside_example="10.1.2.3"))
    assert "secret" not in refused.value.detail
    assert "10.1.2.3" not in refused.value.detail
    assert server.connections == 1


async def test_a_redirect_loop_ends(server: HttpsServer) -> None:
    with pytest.raises(Invalid, match="more than 5 redirects"):
        await get(server, "/loop")
    assert server.connections == 6


async def test_names_and_addresses_of_the_inside_are_never_connected_to(server: HttpsServer) -> None:
    strict = GuardedFetcher(ports=(443, server.port), ssl_context=server.client_context())
    for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433", "127.1"):
        with pytest.raises(Invalid, match="public internet"):
            await get(server, f"https://{host}:{server.port}/file?name=a", strict)
    assert server.connections == 0


async def test_one_private_address_condemns_a_name(server: HttpsServer) -> None:
    async def resolve(host: str) -> Sequence[Address]:
        return (ip_address("127.0.0.1"), ip_address("10.0.0.1"))

    fetcher = GuardedFetcher(allow=(LOOPBACK,), ports=(server.port,), resolver=resolve)
    with pytest.raises(Invalid, match="public internet"):
        await get(server, "/file?name=a", fetcher)
    assert server.connections == 0


async def test_a_name_is_resolved_once_and_its_second_answer_gains_nothing(server: HttpsServer) -> None:
    answers = ["127.0.0.1", "10.0.0.1"]
    asked: list[str] = []

    async def resolve(host: str) -> Sequence[Address]:
        asked.append(host)
        return (ip_address(answers[min(len(asked), 2) - 1]),)

    fetcher = GuardedFetcher(
        allow=(LOOPBACK,), ports=(server.port,), ssl_context=server.client_context(), resolver=resolve
    )
    assert (await get(server, "/file?name=a", fetcher)).body == b"hello"
    assert asked == ["files.example"]
    asked.clear()
    with pytest.raises(Invalid, match="public internet"):
        await get(server, "/redirect?to=/file%3Fname%3Da", fetcher)
    assert asked == ["files.example"] * 2
    assert server.connections == 2


async def test_a_dead_address_is_passed_over(server: HttpsServer) -> None:
    async def resolve(host: str) -> Sequence[Address]:
        return (ip_address("127.0.0.2"), ip_address("127.0.0.1"))

    fetcher = GuardedFetcher(
        allow=(LOOPBACK, type(LOOPBACK)("127.0.0.2/32")),
        ports=(server.port,),
        ssl_context=server.client_context(),
        resolver=resolve,
    )
    assert (await get(server, "/file?name=a", fetcher)).body == b"hello"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "error", "problem"),
    [
        ("/status?code=404", Invalid, "answered 404"),
        ("/status?code=403", Invalid, "answered 403"),
        ("/status?code=204", Invalid, "answered 204"),
        ("/status?code=500", UpstreamFailed, "answered 500"),
        ("/status?code=429", UpstreamFailed, "answered 429"),
        ("/huge", Invalid, "larger than 1048576 bytes"),
        ("/claimed?bytes=99999999999", Invalid, "larger than 1048576 bytes"),
        ("/bomb?mib=200", Invalid, "larger than 1048576 bytes"),
        ("/brotli", UpstreamFailed, "encoding 'br'"),
        ("/cut", UpstreamFailed, "did not answer in HTTP"),
        ("/noise", UpstreamFailed, "did not answer in HTTP"),
    ],
)
async def test_what_the_remote_does_wrong(
    server: HttpsServer, path: str, error: type[ReplaystackError], problem: str
) -> None:
    with pytest.raises(error, match=problem) as raised:
        await get(server, path)
    assert "?" not in raised.value.detail


async def test_gzip_that_nobody_asked_for_is_unpacked(server: HttpsServer) -> None:
    assert (await get(server, "/gzip?text=hello")).body == b"hellohello"


async def test_hints_before_the_answer_are_skipped(server: HttpsServer) -> None:
    assert (await get(server, "/hints")).body == b"ok"


@pytest.mark.parametrize("path", ["/slow", "/silent"])
async def test_a_slow_server_gets_the_time_it_was_given(server: HttpsServer, path: str) -> None:
    with pytest.raises(UpstreamTimeout, match=r"did not come within 0\.3 s"):
        await server.fetcher().fetch(server.base + path, max_bytes=1 << 20, timeout_s=0.3)


async def test_a_resolver_that_hangs_costs_the_fetch_its_time(server: HttpsServer) -> None:
    async def resolve(host: str) -> Sequence[Address]:
        await asyncio.Event().wait()
        return ()

    with pytest.raises(UpstreamTimeout):
        await GuardedFetcher(resolver=resolve).fetch("https://a.example/", max_bytes=1, timeout_s=0.1)


async def test_a_name_that_does_not_exist_is_the_callers_mistake() -> None:
    with pytest.raises((Invalid, UpstreamFailed), match=r"nowhere\.invalid"):
        await GuardedFetcher().fetch("https://nowhere.invalid/", max_bytes=1, timeout_s=10.0)


async def test_a_certificate_of_another_name_is_refused(server: HttpsServer) -> None:
    with pytest.raises(UpstreamFailed, match="certificate"):
        await get(server, f"https://evil.example:{server.port}/", server.fetcher(evil_example="127.0.0.1"))
    assert server.requests == []


async def test_a_certificate_of_an_unknown_authority_is_refused(server: HttpsServer) -> None:
    async def resolve(host: str) -> Sequence[Address]:
        return (ip_address("127.0.0.1"),)

    fetcher = GuardedFetcher(
        allow=(LOOPBACK,),
        ports=(server.port,),
        ssl_context=ssl.create_default_context(),
        resolver=resolve,
    )
    with pytest.raises(UpstreamFailed, match="certificate"):
        await get(server, "/file?name=a", fetcher)
    assert server.requests == []


async def test_a_closed_port_is_the_remotes_fault(server: HttpsServer) -> None:
    closed = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = closed.sockets[0].getsockname()[1]
    closed.close()
    await closed.wait_closed()
    fetcher = GuardedFetcher(allow=(LOOPBACK,), ports=(port,), ssl_context=server.client_context())
    with pytest.raises(UpstreamFailed, match="connection was refused"):
        await fetcher.fetch(f"https://127.0.0.1:{port}/", max_bytes=1, timeout_s=3.0)


async def test_at_most_sixteen_at_once(server: HttpsServer) -> None:
    fetcher = server.fetcher()
    url = server.base + "/silent"
    fetches = [asyncio.ensure_future(fetcher.fetch(url, max_bytes=1, timeout_s=30.0)) for _ in range(20)]
    while len(server.requests) < 16:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert server.connections == 16
    for fetch in fetches:
        fetch.cancel()
    ended = await asyncio.gather(*fetches, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ended)
