"""Formats times, durations, tokens and errors of spans as short texts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

Span = Mapping[str, Any]
Record = Mapping[str, Any]
"""A log record in the API's form."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(text: str) -> int:
    """Converts a time of the API to microseconds since 1970."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)


def times_of(span: Span) -> tuple[int, int]:
    """Returns start and end in microseconds; a span without an end, or with an end before its start, ends at
    its start."""
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


def tokens_text(span: Span) -> str:
    """Returns the input and output tokens of a model call; empty for other spans."""
    return in_and_out(span.get("input_tokens"), span.get("output_tokens"))


def in_and_out(tokens_in: int | None, tokens_out: int | None) -> str:
    if tokens_in is None and tokens_out is None:
        return ""
    return f"{_count(tokens_in)} → {_count(tokens_out)}"


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else f"{tokens:,}"


def error_text(span: Span) -> str:
    """Returns the error recorded in the span; empty if there is none."""
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


LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")


def level_of(record: Mapping[str, Any]) -> str:
    """Returns the severity of a log record as one word; empty if it has none."""
    number = record.get("severity_number", 0)
    return LEVELS[(number - 1) // 4] if 1 <= number <= 24 else str(record.get("severity_text", ""))


def text_of_record(record: Mapping[str, Any]) -> str:
    """Returns the text of a log record: its event's name and its body."""
    body = record.get("body")
    text = body if isinstance(body, str) else "" if body is None else json.dumps(body, ensure_ascii=False)
    event = record.get("event_name") or (record.get("attributes") or {}).get("event.name")
    return ": ".join(one for one in (str(event) if event else "", text) if one) or "(empty)"
