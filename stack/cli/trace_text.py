"""Times, durations, tokens and errors of spans as short texts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

Span = Mapping[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

MODELS = ("gen_ai.response.model", "gen_ai.request.model", "llm.model_name")
INPUT_TOKENS = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt")
OUTPUT_TOKENS = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion")


def microseconds(text: str) -> int:
    """Microseconds since 1970 of a time of the API."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)


def times_of(span: Span) -> tuple[int, int]:
    """Start and end in microseconds; a span without an end ends as it begins, and so does one that ends before that."""
    start = microseconds(span["start_time"])
    return start, max(start, microseconds(span.get("end_time", span["start_time"])))


def duration_text(duration_us: int) -> str:
    if duration_us < 1_000:
        return f"{duration_us} µs"
    if duration_us < 999_500:
        return f"{_three_digits(duration_us / 1_000)} ms"
    if duration_us < 59_950_000:
        return f"{_three_digits(duration_us / 1_000_000)} s"
    minutes, seconds = divmod(round(duration_us / 1_000_000), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"


def _three_digits(value: float) -> str:
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"


def first_of(attributes: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((attributes[name] for name in names if attributes.get(name) is not None), None)


def tokens_text(span: Span) -> str:
    """Tokens in and out of a model call; empty for other spans."""
    attributes = span.get("attributes") or {}
    return in_and_out(first_of(attributes, INPUT_TOKENS), first_of(attributes, OUTPUT_TOKENS))


def in_and_out(tokens_in: Any, tokens_out: Any) -> str:
    if tokens_in is None and tokens_out is None:
        return ""
    return f"{_count(tokens_in)} → {_count(tokens_out)}"


def _count(tokens: Any) -> str:
    return f"{tokens:,}" if isinstance(tokens, int | float) else "?"


def error_text(span: Span) -> str:
    """What went wrong, as far as the span says; empty where nothing did."""
    if span.get("status") != "error":
        return ""
    attributes = span.get("attributes") or {}
    said = [str(attributes["error.type"])] if attributes.get("error.type") else []
    if span.get("status_message"):
        said.append(str(span["status_message"]))
    for event in span.get("events", ()):
        of_event = event.get("attributes") or {}
        if event["name"] == "exception":
            said += [
                str(of_event[key]) for key in ("exception.type", "exception.message") if of_event.get(key)
            ]
    return ": ".join(dict.fromkeys(said)) or "error"
