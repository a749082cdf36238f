"""Reads one object of a chat completion: a chunk of a stream, or a whole completion. Nothing is refused here:
values of unexpected types are interpreted where this makes sense, and otherwise treated as absent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from msgspec import Struct

from stack.providers.inference.lenient_json import count_in, name_in
from stack.providers.inference.openai_errors import SAID
from stack.providers.inference.port import FinishReason


class _PlainDelta(Struct):
    content: str
    refusal: None = None
    tool_calls: None = None
    function_call: None = None
    reasoning_content: None = None
    reasoning: None = None


class _PlainChoice(Struct):
    delta: _PlainDelta
    index: Literal[0] = 0
    finish_reason: None = None
    usage: None = None
    error: None = None


class PlainChunk(Struct):
    """A chunk that only adds text, like nearly every chunk. Decoding it takes a third of the time of others,
    which are read from the decoded object; see `plain_chunk`."""

    choices: tuple[_PlainChoice]
    id: str
    model: str
    usage: None = None
    error: None = None
    usageMetadata: None = None
    usage_metadata: None = None
    x_groq: None = None
    prompt_eval_count: None = None
    eval_count: None = None


_plain = msgspec.json.Decoder(PlainChunk).decode


def plain_chunk(payload: bytes) -> PlainChunk | None:
    """Returns the chunk if it only adds text, otherwise None."""
    try:
        return _plain(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


_GOOD: dict[str, FinishReason] = {
    **dict.fromkeys(
        ("stop", "eos", "eos_token", "end", "end_turn", "endoftext", "stop_sequence", "stop_token",
         "stop_word", "complete", "completed", "finish", "finished", "done"),
        "stop",
    ),
    **dict.fromkeys(("tool_calls", "tool_call", "tool_use", "function_call", "function_calls"), "tool_calls"),
    **dict.fromkeys(
        ("length", "max_length", "max_tokens", "max_token", "max_new_tokens", "max_output_tokens",
         "max_completion_tokens", "token_limit", "model_length", "max_model_len", "max_context_length",
         "context_length", "context_length_exceeded", "context_window_exceeded",
         "model_context_window_exceeded"),
        "length",
    ),
}  # fmt: skip
"""The finish reasons of usable answers, in the words of different servers. All others are failures: an
unknown reason such as `insufficient_system_resource` may mean that the answer is incomplete."""

_INPUT = ("prompt_tokens", "input_tokens", "prompt_eval_count", "promptTokenCount", "prompt_token_count")
_OUTPUT = (
    "completion_tokens", "output_tokens", "eval_count", "candidatesTokenCount", "candidates_token_count",
)  # fmt: skip
_CACHED = (
    "cached_tokens",
    "prompt_cache_hit_tokens",
    "cachedContentTokenCount",
    "cached_content_token_count",
)
_DETAILS = ("prompt_tokens_details", "input_tokens_details")
_USAGES = ("usage", "usageMetadata", "usage_metadata")
_SUCCESSES = (None, 0, "0", 200, "200", "")


def finish_of(reason: str) -> FinishReason | None:
    """Returns the meaning of a finish reason; None if it is not known to be good."""
    return _GOOD.get(reason.strip().lower().replace("-", "_"))


class Tokens:
    """The token counts of an answer. Repeated counts are cumulative: the highest is kept, so that a later
    null, part or zero has no effect."""

    __slots__ = ("cached", "input", "output")

    def __init__(self) -> None:
        self.input: int | None = None
        self.output: int | None = None
        self.cached: int | None = None

    def note(self, chunk: dict[str, Any]) -> bool:
        """Reads the usage of a chunk, wherever it is. Returns whether there was any."""
        noted = False
        for usage in _usages(chunk):
            noted = True
            self.input = _more(self.input, _count(usage, _INPUT))
            self.output = _more(self.output, _count(usage, _OUTPUT))
            for place in (usage, *[usage.get(name) for name in _DETAILS]):
                if isinstance(place, dict):
                    self.cached = _more(self.cached, _count(place, _CACHED))
        return noted


def _usages(chunk: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for key in _USAGES:
        if isinstance(usage := chunk.get(key), dict):
            yield usage
    if "prompt_eval_count" in chunk or "eval_count" in chunk:
        yield chunk
    if isinstance(own := chunk.get("x_groq"), dict) and isinstance(usage := own.get("usage"), dict):
        yield usage
    for choice in choices_of(chunk):
        if isinstance(usage := choice.get("usage"), dict):
            yield usage


def _count(usage: dict[str, Any], names: tuple[str, ...]) -> int | None:
    for name in names:
        if (count := count_in(usage.get(name))) is not None:
            return count
    return None


def _more(known: int | None, said: int | None) -> int | None:
    return said if known is None else known if said is None else max(known, said)


def choices_of(chunk: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the choices that are objects."""
    choices = chunk.get("choices")
    if isinstance(choices, dict):
        return [choices]
    return [one for one in choices if isinstance(one, dict)] if isinstance(choices, list) else []


def index_of(choice: dict[str, Any]) -> int:
    """Returns the choice's index; 0 if missing."""
    return count_in(choice.get("index")) or 0


def delta_of(choice: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Returns what a choice adds to the answer, and whether it was a `message` (a whole answer, or one in the
    place of a delta)."""
    for key in ("delta", "message"):
        if isinstance(said := choice.get(key), dict) and said:
            return said, key == "message"
    if isinstance(text := choice.get("text"), str):
        return {"content": text}, False
    return {}, False


def reason_of(choice: dict[str, Any]) -> str:
    """Returns the finish reason, empty if there is none yet."""
    reason = choice.get("finish_reason")
    if reason is None or reason is False:
        return ""
    return reason.strip() if isinstance(reason, str) else name_in(reason) or f"{reason!r:.100}"


def error_in(chunk: dict[str, Any]) -> Any:
    """Returns the error that an object reports, in any common format; None if it reports none."""
    for one in (chunk, *choices_of(chunk)):
        if _says(error := one.get("error")):
            return one if isinstance(error, str | bool) else error
    if choices_of(chunk):
        return None
    if _says(chunk.get("errors")) or "error" in (chunk.get("object"), chunk.get("type")):
        return chunk
    base = chunk.get("base_resp")
    if isinstance(base, dict) and base.get("status_code") not in _SUCCESSES:
        return base
    return chunk if status_in(chunk, None) else None


def remark_in(chunk: dict[str, Any]) -> bool:
    """Returns whether an object contains text but no part of an answer: an error, unless the answer continues
    to its end."""
    if choices_of(chunk) or any(key in chunk for key in _USAGES):
        return False
    return any(isinstance(said := chunk.get(key), str | list) and said for key in SAID)


def status_in(chunk: dict[str, Any], error: Any) -> int | None:
    """Returns the HTTP status that an error contains, in any common place."""
    for one in (error, chunk):
        if isinstance(one, dict):
            for key in ("status", "status_code", "code", "http_status"):
                status = count_in(one.get(key))
                if status is not None and 400 <= status <= 599:
                    return status
    return None


def _says(error: Any) -> bool:
    """Returns whether a value reports an error: some servers send an empty one with each success."""
    return any(map(_says, error.values())) if isinstance(error, dict) else bool(error)
