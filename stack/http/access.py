"""Access control: the checks of `Host`, `Origin` and the bearer key, and the CORS headers of allowed
origins."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from stack.config import ADMIN
from stack.errors import Forbidden, Invalid, Unauthenticated
from stack.http.error import Headers
from stack.services.requests.rates import RateLimits
from stack.settings import Settings, is_loopback

_OPEN_PATHS = frozenset(("/", "/v1/health", "/ui"))
_OPEN_BELOW = "/ui/"
ADMIN_PATHS = "/admin/"

_EXPOSED = b"x-trace-id, x-turn-id, x-turn-status, x-should-retry, retry-after"
_PREFLIGHT_MAX_AGE_S = b"600"
_PORTS = {"http": 80, "https": 443}
_MAX_PORT = 65_535


class Access:
    """The access rules from the settings. Raises Unauthenticated (401) and Forbidden (403)."""

    def __init__(self, settings: Settings, admin_token: str, rates: RateLimits) -> None:
        self._rates = rates
        self._hosts = {name.lower() for name in (*settings.allowed_hosts, settings.host)}
        self._origins = {origin.lower() for origin in settings.allowed_origins}
        self._keys = [(key.name, _digest(key.key)) for key in settings.api_keys]
        self._admin = _digest(admin_token) if admin_token else b""
        # A client uses one name, an attacker may try many, so the cache is bounded.
        self._host_is_known = lru_cache(128)(self._is_known)

    def check_host(self, host: str) -> None:
        """Raises Invalid for a malformed host, and Forbidden for one that does not belong to this server."""
        if not self._host_is_known(host):
            raise Forbidden(
                f"Host {host[:100]!r} is not served here. Call this server by a loopback name, or add the name to "
                "allowed_hosts."
            )

    def _is_known(self, host: str) -> bool:
        name, _ = _name_and_port(host)
        if not name or any(sign in name for sign in "/@ \t,"):
            return False
        return is_loopback(name) or not self._hosts.isdisjoint((name, host.lower(), "*"))

    def check_origin(self, origin: str, host: str) -> bool:
        """Returns whether the request is from a page of another, allowed origin: its response needs CORS
        headers."""
        if origin.lower() in self._origins:
            return True
        if _same_origin(origin, host):
            return False
        raise Forbidden(
            f"Origin {origin[:100]!r} may not call this server. Add it to allowed_origins if its pages are yours."
        )

    def actor(self, authorization: str, path: str, address: str) -> str:
        """Returns the name of the caller's key; empty if no key is required. Wrong keys are counted per
        address: also raises TooManyRequests."""
        scheme, _, token = authorization.partition(" ")
        given = _digest(token.strip()) if scheme.lower() == "bearer" and token.strip() else b""
        if given and self._admin and hmac.compare_digest(given, self._admin):
            return ADMIN
        found = ""
        for name, key in self._keys:
            if given and hmac.compare_digest(given, key):
                found = name
        if found and not path.startswith(ADMIN_PATHS):
            return found
        if given and self._keys and not found and not is_open(path):
            self._rates.key_was_wrong(address)
        if is_open(path) or not (self._keys or path.startswith(ADMIN_PATHS)):
            return ""
        if not given:
            raise Unauthenticated("This request needs an API key: send it as `Authorization: Bearer <key>`.")
        if path.startswith(ADMIN_PATHS):
            raise Forbidden("This is for the commands on the server's own machine (`replaystack doctor`).")
        raise Forbidden("The API key is unknown.")


def is_open(path: str) -> bool:
    """Returns whether a path needs no key and is not limited: whether the server is well, and the files of the page."""
    return path in _OPEN_PATHS or path.startswith(_OPEN_BELOW)


def cors_headers(origin: str) -> Headers:
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-expose-headers", _EXPOSED),
        (b"vary", b"origin"),
    ]


def preflight_headers(request: Mapping[bytes, bytes]) -> Headers:
    """Allows everything that a preflight request asks for, because the origin is allowed."""
    headers = [
        (b"access-control-allow-methods", b"GET, POST, DELETE, OPTIONS"),
        (b"access-control-max-age", _PREFLIGHT_MAX_AGE_S),
    ]
    asked = request.get(b"access-control-request-headers")
    if asked:
        headers.append((b"access-control-allow-headers", asked))
    return headers


def _digest(secret: str) -> bytes:
    # Digests are compared in constant time, whatever the lengths of the secrets are.
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def _name_and_port(host: str) -> tuple[str, str]:
    """Returns the name in a `Host` header, in lower case and without brackets, and the port (empty if
    missing). Raises Invalid."""
    name, colon, port = host.lower().rpartition(":")
    if not colon or host.endswith("]"):
        name, port = host.lower(), ""
    elif port and not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= _MAX_PORT):
        raise Invalid(f"Host is {host[:100]!r}; what follows the colon must be a port from 0 to {_MAX_PORT}.")
    if not (name.startswith("[") and name.endswith("]")):
        return name, port
    try:
        # A zone, such as in [::1%lo], has a meaning on the client's machine only.
        if ipaddress.IPv6Address(name[1:-1]).scope_id is None:
            return name[1:-1], port
        raise ValueError
    except ValueError:
        raise Invalid(f"Host is {host[:100]!r}; there is no IPv6 address in its brackets.") from None


def _same_origin(origin: str, host: str) -> bool:
    """Returns whether the page was served by this server. A proxy may have added TLS in between."""
    try:
        page = urlsplit(origin)
        default = _PORTS[page.scheme]
        return bool(page.hostname) and (page.hostname, page.port or default) == _endpoint(host, default)
    except (KeyError, ValueError):
        return False


def _endpoint(host: str, default: int) -> tuple[str, int]:
    name, port = _name_and_port(host)
    return name, int(port) if port else default
