"""Converts refusals and failures of model servers, by status and message, to errors of this project."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from stack.errors import (
    Invalid,
    ReplaystackError,
    TooManyRequests,
    Unavailable,
    UpstreamFailed,
    UpstreamTimeout,
)
from stack.providers.inference.lenient_json import NotJSON, clean, decode

MAX_MESSAGE_CHARACTERS = 1000
DEFAULT_RETRY_AFTER_S = 5
MAX_REMEMBERED = 1000


SAID = ("error", "errors", "detail", "details", "message", "msg", "error_message", "error_msg", "status_msg",
        "error_description", "description", "title", "reason", "fault", "faultstring")  # fmt: skip
"""The keys under which servers put the text of an error, the most specific first."""
_DEEPEST = 6
_UNKNOWN_FIELD = re.compile(
    rb"(unknown|unrecogni[sz]ed|unexpected|unsupported|extra|additional) (request )?"
    rb"(field|param|argument|propert|key|input|option|body)",
    re.IGNORECASE,
)
_CODE = re.compile(r"<(script|style|head)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title\s*>", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"<[^>]{0,1000}>")


def message_of(body: bytes) -> str:
    """Returns the text of an error's body, in any common format, at most 1,000 characters."""
    body = body.removeprefix(b"\xef\xbb\xbf").strip()
    try:
        value = decode(body)
    except NotJSON:
        text = body[: 64 * 1024].decode("utf-8", "replace")
        return bounded(_page_text(text) if text.startswith("<") else text)
    return words_of(value)


def words_of(value: Any) -> str:
    """Like `message_of`, for a value that has been decoded."""
    return bounded(clean(_words_in(value, 0)))


def _words_in(value: Any, depth: int) -> str:
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict) and "loc" not in value[0]:
        value = value[0]
    if isinstance(value, dict) and depth < _DEEPEST:
        said = [
            value[key] for key in SAID if value.get(key) and not isinstance(value[key], bool | int | float)
        ]
        if len(said) > 1 and isinstance(said[0], str) and isinstance(said[1], str):
            return f"{said[0]}: {said[1]}"
        if said:
            return _words_in(said[0], depth + 1)
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _page_text(page: str) -> str:
    """Returns the words of an HTML page: its title and text."""
    title = _TITLE.search(page)
    parts = [title.group(1) if title else "", _TAG.sub(" ", _CODE.sub(" ", page))]
    return html.unescape(" ".join(parts))


def bounded(text: str) -> str:
    """Returns the text on one line, at most 1,000 characters."""
    text = " ".join(text[: 16 * MAX_MESSAGE_CHARACTERS].split())
    return text if len(text) <= MAX_MESSAGE_CHARACTERS else text[: MAX_MESSAGE_CHARACTERS - 1] + "…"


def may_refuse_options(status: int, body: bytes) -> bool:
    """Returns whether a refusal may be caused by `stream_options`, which several servers do not support: then
    one attempt without it is worthwhile."""
    if b"stream_options" in body or b"include_usage" in body:
        return 400 <= status <= 599 and status not in (401, 403, 407, 429)
    return status in (400, 422) and _UNKNOWN_FIELD.search(body) is not None


class OptionsRefused:
    """The models for which servers refused `stream_options`; one server may have several kinds of models."""

    def __init__(self) -> None:
        self._models: set[tuple[str, str]] = set()

    def __contains__(self, model: tuple[str, str]) -> bool:
        """A model is given by the provider's id and its own name of the model."""
        return model in self._models

    def remember(self, model: tuple[str, str]) -> None:
        if len(self._models) >= MAX_REMEMBERED:
            self._models.clear()
        self._models.add(model)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Returns the wait that a server asks for, in seconds; None without a valid one. Dates are not parsed:
    model servers send numbers."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            wait_s = float(headers[name]) * unit
        except (KeyError, ValueError):
            continue
        if math.isfinite(wait_s) and wait_s >= 0:
            return wait_s
    return None


def quota_is_spent(body: bytes) -> bool:
    """Returns whether a 429 means that there is no credit left, so that waiting does not help."""
    return b"insufficient_quota" in body


def error_of(
    status: int, headers: Mapping[str, str], body: bytes, *, where: str, provider: str, model: str | None
) -> ReplaystackError:
    """Returns the error for a response with `status`. `where` names the provider and its URL."""
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
    if status in (503, 529):
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
            f"{where} redirects to {bounded(target)}; redirects are not followed. Set base_url of {provider!r}."
        )
    return UpstreamFailed(f"{where} failed ({status}){quoted}")
