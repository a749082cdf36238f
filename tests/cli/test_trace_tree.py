"""A trace on a terminal: every span once, whatever its parents say, in lines that fit, and nothing of others styles it."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from stack.cli.trace_finding import Trace
from stack.cli.trace_layout import laid_out
from stack.cli.trace_table import show_traces
from stack.cli.trace_text import duration_text, microseconds, tokens_text
from stack.cli.trace_tree import show_trace

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def time_of(us: int) -> str:
    return f"2026-11-25T18:{us // 60_000_000:02}:{us // 1_000_000 % 60:02}.{us % 1_000_000:06}Z"


def span(
    name: str, parent: str | None = None, start: int = 0, end: int = 1_000, **more: Any
) -> dict[str, Any]:
    made = {
        "span_id": more.pop("span_id", name),
        "trace_id": TRACE,
        "name": name,
        "kind": "internal",
        "start_time": time_of(start),
        "end_time": time_of(end),
        "status": more.pop("status", "ok"),
    }
    return made | ({"parent_span_id": parent} if parent else {}) | more


def shown(
    spans: list[dict[str, Any]],
    width: int = 100,
    truncated: bool = False,
    colour: bool = False,
    tokens: tuple[int | None, int | None] = (None, None),
    logs: Sequence[dict[str, Any]] = (),
) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=colour, highlight=False, color_system="standard" if colour else None)  # fmt: skip
    show_trace(console, TRACE, Trace(spans, tokens, logs, truncated))
    return out.getvalue()


CALL = span(
    "chat gpt",
    "turn",
    100_000,
    900_000,
    operation="chat",
    model="gpt-x-2026",
    input_tokens=1024,
    output_tokens=55,
)
TOOL = span(
    "execute_tool look",
    "turn",
    900_000,
    900_500,
    status="error",
    status_message="the harbour is closed",
    attributes={"error.type": "ToolFailed"},
    events=[{"time": time_of(900_400), "name": "exception", "attributes": {"exception.message": "no ship"}}],
)
TURN = span("turn", None, 0, 1_000_000, resource={"service.name": "shipping"})


def test_a_trace_says_what_happened() -> None:
    text = shown([TOOL, CALL, TURN], tokens=(1024, 55))
    lines = text.splitlines()
    assert lines[0].startswith(f"trace {TRACE}  2026-11-25 18:00:00.000 UTC")
    assert lines[1] == "1.00 s  3 spans  1 error  tokens 1,024 → 55  shipping"
    assert lines[3].startswith("turn ") and lines[3].endswith(" 1.00 s")
    assert lines[4].startswith("├─ chat gpt ") and "800 ms  1,024 → 55" in lines[4]
    assert lines[5].startswith("└─ execute_tool look ") and lines[5].endswith(" 500 µs")
    assert lines[6] == "   ! ToolFailed: the harbour is closed: no ship"
    assert len(lines) == 7


def log(body: Any, **more: Any) -> dict[str, Any]:
    return {"time": time_of(500_000), "trace_id": TRACE, "body": body} | more


def test_log_records_stand_beneath_their_spans() -> None:
    logs = [
        log("calling", span_id="chat gpt", severity_number=10),
        log({"content": "hi"}, span_id="chat gpt", event_name="gen_ai.user.message"),
        log("too late", span_id="turn", severity_number=17, time=time_of(1_500_000)),
        log("elsewhere", span_id="gone"),
        {"body": "whenever", "severity_text": "notice"},
    ]
    lines = [line.rstrip() for line in shown([CALL, TURN], logs=logs).splitlines()]
    assert lines[4] == "· +1.50 s ERROR too late"
    assert lines[6:8] == ["   · +500 ms INFO calling", '   · +500 ms gen_ai.user.message: {"content": "hi"}']
    assert lines[9:] == ["log records without a span here", "· notice whenever", "· +500 ms elsewhere"]


def test_a_wide_terminal_has_models_and_offsets() -> None:
    text = shown([TOOL, CALL, TURN], 200)
    assert "gpt-x-2026" in text and "+100 ms" in text and "gpt-x-2026" not in shown([TOOL, CALL, TURN], 80)


def test_bars_lie_where_the_spans_do() -> None:
    lines = shown(
        [span("a", None, 0, 1_000), span("b", None, 500, 1_000), span("c", None, 750, 750)]
    ).splitlines()
    bars = [line[22:].rstrip(" µms0123456789.") for line in lines[3:]]
    whole = len(bars[0])
    assert bars[0] == "█" * whole
    assert bars[1].lstrip() == "█" * (whole - whole // 2) and len(bars[1]) == whole
    assert bars[2].lstrip() == "▏" and abs(len(bars[2]) - whole * 3 // 4) <= 1


names = st.sampled_from("abcdefgh")
traces = st.dictionaries(names, st.tuples(st.one_of(names, st.none()), st.integers(0, 9)), min_size=1)


@given(traces, st.integers(1, 4))
def test_every_span_has_one_line_beneath_its_parent(
    found: dict[str, tuple[str | None, int]], levels: int
) -> None:
    spans = [span(name, parent, start) for name, (parent, start) in found.items()]
    lines = laid_out(spans, levels)
    assert sorted(line.span["span_id"] for line in lines) == sorted(found)
    above: dict[str, int] = {}
    for line in lines:
        parent = line.span.get("parent_span_id")
        if line.level:
            assert parent is not None and above[parent] == line.level - 1
        else:
            assert bool(line.note) == (parent is not None)
        above[line.span["span_id"]] = line.level
        assert len(line.guides) <= 3 * levels


def test_odd_places_are_said() -> None:
    text = shown([span("orphan", "gone"), span("self", "self"), span("a", "b", 1), span("b", "a", 2)], 120)
    assert "orphan (parent is not here)" in text and "self (its own parent)" in text
    assert "a (parents in a circle)" in text and "└─ b" in text


@pytest.mark.slow
def test_a_deep_trace_says_how_deep() -> None:
    chain = [span(f"s{n}", f"s{n - 1}" if n else None, n) for n in range(3_000)]
    text = shown(chain, 80)
    assert "2999· s2999" in text
    assert all(cell_len(line) <= 80 for line in text.splitlines())


HOSTILE = [
    "\x1b[31mred\x1b[0m",
    "[bold]markup[/bold] [/] [red",
    "two\nlines\r\n\tand a tab",
    "\u202eback\u202c \u200b\ufeff",
    "\x9b31m \x07 \x00 \x08",
    "漢字" * 80,
    "e\u0301\U0001f469\u200d\U0001f680" * 40,
    "",
    " " * 20,
]


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_neither_styles_nor_breaks_the_terminal(text: str, width: int) -> None:
    hostile = span(
        text,
        "turn",
        status="error",
        span_id="x",
        status_message=text * 30,
        attributes={"error.type": text},
        model=text,
        resource={"service.name": text},
    )
    for colour in (False, True):
        logged = [log(text, span_id="x", severity_text=text, event_name=text), log({"said": text})]
        printed = shown([TURN, hostile], width, colour=colour, logs=logged)
        # Only styles that were meant, each ended by a reset.
        left = re.sub("\x1b\\[[0-9;]*m", "", printed) if colour else printed
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u202e\ufeff]", left), left
        assert all(cell_len(line) <= max(60, width) for line in left.splitlines()), left
    assert not colour or "\x1b[31mred\x1b[0m (" not in printed


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_in_the_table_of_traces(text: str, width: int) -> None:
    out = io.StringIO()
    row = {"trace_id": TRACE, "name": text, "start_time": time_of(0), "end_time": time_of(5), "status": "error",
           "span_count": 120_000, "error_count": 7, "service": text, "models": [text, text], "input_tokens": 5}  # fmt: skip
    show_traces(Console(file=out, width=width, highlight=False), [row, row])
    lines = out.getvalue().splitlines()
    assert len(lines) == 3
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", "".join(lines))
    assert all(cell_len(line) <= max(60, width) for line in lines)


def test_more_spans_than_were_sent() -> None:
    assert "the latest are missing" in shown([TURN], truncated=True)


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "0 µs"),
        (999, "999 µs"),
        (1_000, "1.00 ms"),
        (12_345, "12.3 ms"),
        (999_400, "999 ms"),
        (999_600, "1.00 s"),
        (59_940_000, "59.9 s"),
        (59_960_000, "1 min 00 s"),
        (61_000_000, "1 min 01 s"),
        (3_599_600_000, "1 h 00 min"),
        (7_260_000_000, "2 h 01 min"),
        (360_000_000_000, "100 h 00 min"),
    ],
)
def test_durations(us: int, text: str) -> None:
    assert duration_text(us) == text


def test_times_are_exact() -> None:
    assert microseconds("1970-01-01T00:00:01.000001Z") == 1_000_001
    assert microseconds("2262-04-11T23:47:16.854775Z") == 9_223_372_036_854_775


def test_tokens() -> None:
    assert tokens_text(span("x", input_tokens=7)) == "7 → ?"
    assert tokens_text(span("x", input_tokens=0, output_tokens=1_000)) == "0 → 1,000"
    assert tokens_text(span("x")) == ""
