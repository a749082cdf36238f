"""URLs accepted by the fetcher: https, a host, a port, no credentials."""

from __future__ import annotations

import re
from urllib.parse import quote, urljoin, urlsplit

from msgspec import Struct

from stack.errors import Invalid

MAX_URL_CHARACTERS = 8192
_SHOWN_CHARACTERS = 200
_HOST = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_IPV6 = re.compile(r"[0-9a-f:.]+")
_CONTROL = re.compile(r"[\x00-\x20\x7f]")


class Target(Struct, frozen=True):
    """`host` is the name for DNS, TLS and `Host` (IPv6 without brackets); `path` begins with a slash and
    includes the query; `shown` is the URL for messages: without its query, which may contain a secret, and at
    most 200 characters."""

    host: str
    port: int
    path: str
    shown: str

    @property
    def url(self) -> str:
        return f"https://{self.authority}{self.path}"

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 443 else f"{host}:{self.port}"


def parse(url: str, ports: frozenset[int]) -> Target:
    """Raises Invalid for anything that is not a plain https URL with one of `ports`."""
    shown = shown_url(url)
    if len(url) > MAX_URL_CHARACTERS:
        raise Invalid(f"{shown} is longer than {MAX_URL_CHARACTERS} characters.")
    if _CONTROL.search(url) or "\\" in url:
        raise Invalid(f"{shown} holds a space, a control character or a backslash; percent-encode it.")
    scheme = url.partition(":")[0].lower()
    if scheme != "https":
        raise Invalid(f"{shown} is not an https: URL; only those are fetched. Or send the content itself.")
    try:
        parts = urlsplit(url)
        port = 443 if parts.port is None else parts.port
        host = _ascii_host(parts.hostname or "")
    except ValueError:
        raise Invalid(f"{shown} is not a URL.") from None
    if "@" in parts.netloc:
        raise Invalid(f"{shown} holds a user name or password; URLs with credentials are not fetched.")
    if not host:
        raise Invalid(f"{shown} is not a URL with a host name.")
    if port not in ports:
        raise Invalid(f"{shown} names port {port}; only {_listed(ports)} is fetched from.")
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    if parts.query:
        path += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~-._?[]|^`{}")
    return Target(host, port, path, shown)


def redirected(target: Target, location: str, ports: frozenset[int]) -> Target:
    """Returns the target of a redirect. Raises Invalid."""
    try:
        url = urljoin(target.url, location)
    except ValueError:
        raise Invalid(f"{target.shown} redirects to something that is no URL.") from None
    try:
        return parse(url, ports)
    except Invalid as error:
        raise Invalid(f"{target.shown} redirects: {error.detail}") from None


def shown_url(url: str) -> str:
    """Returns a URL for messages: without query, fragment and credentials."""
    plain = url[:MAX_URL_CHARACTERS].partition("?")[0].partition("#")[0]
    scheme, separator, rest = plain.partition("://")
    if separator:
        authority, slash, path = rest.partition("/")
        plain = f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"
    cut = plain[:_SHOWN_CHARACTERS] + ("..." if len(plain) > _SHOWN_CHARACTERS else "")
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", cut)


def _ascii_host(host: str) -> str:
    """Returns the host in its DNS form, in lower case; empty if it is not a host. Raises ValueError."""
    if ":" in host:
        return host if _IPV6.fullmatch(host) else ""
    if not host.isascii():
        host = host.encode("idna").decode("ascii").lower()
    host = host.removesuffix(".")
    return host if _HOST.fullmatch(host) and len(host) <= 253 else ""


def _listed(ports: frozenset[int]) -> str:
    return " or ".join(str(port) for port in sorted(ports))
