"""What a model server's refusals and failures mean here: its status and message as one of our errors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from stack.errors import (
    Invalid,
    ReplaystackError,
    TooManyRequests,
    Unavailable,
    UpstreamFailed,
    UpstreamTimeout,
)

MAX_MESSAGE_CHARACTERS = 1000
DEFAULT_RETRY_AFTER_S = 5


def message_of(body: bytes) -> str:
    """The human part of an error's body, in any of the forms in use, at most 1,000 characters."""
    try:
        value: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = body.decode("utf-8", "replace").strip()
        # A proxy's error page says nothing that its status does not.
        return "" if text.startswith("<") else _bounded(text)
    for key in ("error", "message", "detail"):
        if isinstance(value, dict) and value.get(key):
            value = value[key]
    return _bounded(value if isinstance(value, str) else msgspec.json.encode(value).decode())


def _bounded(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MAX_MESSAGE_CHARACTERS else text[: MAX_MESSAGE_CHARACTERS - 1] + "…"


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The wait that a server asks for, in seconds; None without one that makes sense. Dates are not read: model
    servers send numbers."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            wait_s = float(headers[name]) * unit
        except (KeyError, ValueError):
            continue
        if math.isfinite(wait_s) and wait_s >= 0:
            return wait_s
    return None


def quota_is_spent(body: bytes) -> bool:
    """Whether a 429 means that no credit is left, which no waiting cures."""
    return b"insufficient_quota" in body


def error_of(
    status: int, headers: Mapping[str, str], body: bytes, *, where: str, provider: str, model: str | None
) -> ReplaystackError:
    """The error that an answer with `status` stands for. `where` names the provider and its URL."""
    said = message_of(body)
    quoted = f": {said}" if said else "."
    wait_s = retry_after_s(headers)
    retry_after = max(1, min(60, math.ceil(DEFAULT_RETRY_AFTER_S if wait_s is None else wait_s)))
    if status in (401, 403):
        return UpstreamFailed(
            f"{where} refused the credentials ({status}). Check the api_key of {provider!r}."
        )
    if status == 429:
        return TooManyRequests(f"{where} is limiting requests{quoted}", retry_after=retry_after)
    if status == 503:
        return Unavailable(f"{where} is not ready{quoted}", retry_after=retry_after)
    if status in (408, 504):
        return UpstreamTimeout(f"{where} took too long, it says ({status}){quoted}")
    if status == 404 and model is not None and "model" in said.lower():
        return Invalid(f"model: {provider} has no {model!r}{quoted} GET /v1/models lists what there is.")
    if status == 404:
        return UpstreamFailed(
            f"{where} has no such path (404). Check base_url of {provider!r}: it usually ends in /v1."
        )
    if status in (400, 413, 422):
        return Invalid(f"{where} refused the request ({status}){quoted}")
    if 300 <= status < 400:
        target = headers.get("location", "elsewhere")
        return UpstreamFailed(
            f"{where} redirects to {_bounded(target)}; redirects are not followed. Set base_url of {provider!r}."
        )
    return UpstreamFailed(f"{where} failed ({status}){quoted}")
