"""A trace in columns, for drawing (not part of the Llama Stack specification)."""

from __future__ import annotations

from msgspec import Struct


class Waterfall(Struct, frozen=True, omit_defaults=True):
    """The spans of a trace in the order of their starts, one list per column. `parents` are indexes of other spans,
    -1 without a parent in the trace; the links may form cycles, because senders decide them. `start_us` counts the
    microseconds since `start_time`; a duration in microseconds is -1 before the end. `names`, `services`,
    `operations` (of OpenTelemetry's GenAI conventions) and `subjects` (a model or a tool) are indexes of `texts`.
    `kinds` are OTLP's, 0 to 5. `tokens` are input and output tokens together, -1 if unknown. `truncated` is the number
    of spans that are left out."""

    trace_id: str
    start_time: str
    texts: list[str]
    span_ids: list[str]
    parents: list[int]
    names: list[int]
    services: list[int]
    operations: list[int]
    subjects: list[int]
    kinds: list[int]
    is_error: list[bool]
    start_us: list[int]
    duration_us: list[int]
    tokens: list[int]
    truncated: int = 0
