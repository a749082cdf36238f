"""Which URLs are taken, and how they stand in messages."""

from __future__ import annotations

import pytest

from stack.errors import Invalid
from stack.providers.fetch.target import parse, redirected, shown_url

PORTS = frozenset({443})


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("https://example.com", "example.com", "/"),
        ("HTTPS://Example.COM:443/a?b=c#d", "example.com", "/a?b=c"),
        ("https://example.com./a", "example.com", "/a"),
        ("https://example.com/a%20b/ü?q=ü", "example.com", "/a%20b/%C3%BC?q=%C3%BC"),
        ("https://bücher.example/", "xn--bcher-kva.example", "/"),
        ("https://[2606:4700::1]/", "2606:4700::1", "/"),
        ("https://1.1.1.1/", "1.1.1.1", "/"),
    ],
)
def test_plain_urls_are_taken(url: str, host: str, path: str) -> None:
    target = parse(url, PORTS)
    assert (target.host, target.port, target.path) == (host, 443, path)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://example.com/", "not an https: URL"),
        ("file:///etc/passwd", "not an https: URL"),
        ("ftp://example.com/", "not an https: URL"),
        ("gopher://example.com/", "not an https: URL"),
        ("//example.com/", "not an https: URL"),
        ("example.com", "not an https: URL"),
        ("", "not an https: URL"),
        ("https:", "host name"),
        ("https:///etc/passwd", "host name"),
        ("https://user@example.com/", "credentials"),
        ("https://user:secret@example.com/", "credentials"),
        ("https://example.com:8443/", "port 8443"),
        ("https://example.com:22/", "port 22"),
        ("https://example.com:0/", "port 0"),
        ("https://example.com:99999/", "not a URL"),
        ("https://example.com:port/", "not a URL"),
        ("https://[::1", "not a URL"),
        ("https://[fe80::1%25eth0]/", "host name"),
        ("https://[fe80::1%eth0]/", "host name"),
        ("https://exa mple.com/", "space"),
        ("https://example.com/\r\nHost: other", "control character"),
        ("https://example.com\\@127.0.0.1/", "backslash"),
        ("https://-/%", ""),
        ("https://a..b/", "host name"),
        ("https://" + "a" * 64 + ".example/", "host name"),
        ("https://" + "a." * 200 + "example/", "host name"),
        ("https://example.com/" + "a" * 9000, "longer than"),
        ("https://ex%61mple.com/", "host name"),
    ],
)
def test_other_urls_are_refused(url: str, problem: str) -> None:
    if not problem:
        parse(url, PORTS)
        return
    with pytest.raises(Invalid, match=problem):
        parse(url, PORTS)


def test_relative_redirects_stay_on_the_host() -> None:
    target = parse("https://example.com/a/b?c", PORTS)
    assert redirected(target, "../d", PORTS).url == "https://example.com/d"
    assert redirected(target, "//other.example/x", PORTS).url == "https://other.example/x"


@pytest.mark.parametrize(
    "location", ["http://example.com/", "file:///etc/passwd", "https://u@h/", "https://[x"]
)
def test_redirects_to_other_schemes_are_refused(location: str) -> None:
    with pytest.raises(Invalid, match=r"https://example\.com/ redirects"):
        redirected(parse("https://example.com/", PORTS), location, PORTS)


def test_messages_show_no_query_and_no_credentials() -> None:
    assert shown_url("https://u:p@example.com/a?token=secret#x") == "https://example.com/a"
    assert shown_url("https://example.com/\n" + "a" * 300).startswith(
        "https://example.com/\N{REPLACEMENT CHARACTER}a"
    )
    assert len(shown_url("x" * 100_000)) < 210
