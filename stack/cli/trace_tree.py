"""Shows a trace as a tree on a terminal: names, time bars, durations, tokens, models, errors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from stack.cli import terminal
from stack.cli.plain_text import plain
from stack.cli.trace_finding import Trace
from stack.cli.trace_layout import DEEP, Line, laid_out
from stack.cli.trace_text import (
    Record,
    Span,
    duration_text,
    error_text,
    in_and_out,
    level_of,
    microseconds,
    text_of_record,
    times_of,
    tokens_text,
)

MIN_WIDTH = 60
WIDE = 120
"""From this width, models and start times have separate columns."""
WIDE_WITHOUT_TERMINAL = 160
ERROR_CHARACTERS = 1_000
LOG_CHARACTERS = 1_000
LEVEL_CELLS = 16
"""One level of indentation is drawn per this many columns."""


_LEVEL_STYLES = {"WARN": "yellow", "ERROR": "red", "FATAL": "bold red"}


def console() -> Console:
    """Returns the console for a trace. Without a terminal its lines have a fixed width."""
    return terminal.console(wide=WIDE_WITHOUT_TERMINAL)


def show_trace(out: Console, trace_id: str, trace: Trace) -> None:
    """Prints the trace, which must have at least one span."""
    width = max(MIN_WIDTH, out.width)
    times = [times_of(span) for span in trace.spans]
    begin, end = min(start for start, _ in times), max(end for _, end in times)
    _show_head(out, trace_id, trace, begin, end)
    lines = laid_out(trace.spans, width // LEVEL_CELLS)
    columns = _Columns(lines, width, begin, end)
    logs: defaultdict[str, list[Record]] = defaultdict(list)
    for one in trace.logs:
        logs[one.get("span_id", "")].append(one)
    out.print()
    for line in lines:
        _print(out, columns.of(line), width)
        for said in _below(out, line, width):
            _print(out, said, width)
        for record in logs.pop(line.span["span_id"], ()):
            _print(out, _logged(record, _drawn(line), begin), width)
    if logs:
        out.print()
        _print(out, Text("log records without a span here", "dim"), width)
        for record in sorted(chain(*logs.values()), key=lambda one: str(one.get("time", ""))):
            _print(out, _logged(record, "", begin), width)
    for more, what in ((trace.more_spans, "spans"), (trace.more_logs, "log records")):
        if more:
            out.print()
            _print(
                out, Text(f"There are more {what} than were sent; the latest are missing.", "yellow"), width
            )


def _show_head(out: Console, trace_id: str, trace: Trace, begin: int, end: int) -> None:
    spans = trace.spans
    errors = sum(span.get("status") == "error" for span in spans)
    first = min(spans, key=lambda span: microseconds(span["start_time"]))
    services = dict.fromkeys(str((span.get("resource") or {}).get("service.name", "")) for span in spans)
    head = Text("trace ", "dim") + Text(trace_id, "bold")
    head.append(f"  {first['start_time'][:23].replace('T', ' ')} UTC", "dim")
    _print(out, head, out.width)
    facts = Text(duration_text(end - begin), "bold")
    facts.append(f"  {len(spans):,} span{'s' if len(spans) != 1 else ''}")
    if errors:
        facts.append(f"  {errors:,} error{'s' if errors != 1 else ''}", "bold red")
    if any(trace.tokens):
        facts.append(f"  tokens {in_and_out(*trace.tokens)}")
    named = ", ".join(name for name in services if name)
    if named:
        facts.append("  ").append_text(_styled(plain(named, 200), "dim"))
    _print(out, facts, out.width)


class _Columns:
    """The widths of the columns, and the formatting of each line."""

    def __init__(self, lines: Sequence[Line], width: int, begin: int, end: int) -> None:
        self._begin, self._total = begin, max(1, end - begin)
        self._wide = width >= WIDE
        self._tokens = max((cell_len(tokens_text(line.span)) for line in lines), default=0)
        self._model = (
            max((cell_len(_model(line.span).plain) for line in lines), default=0) if self._wide else 0
        )
        self._model = min(self._model, width // 5)
        self._duration = max(len(_duration(line.span)) for line in lines)
        self._offset = max(len(self._offset_of(line.span)) for line in lines) if self._wide else 0
        optional = (self._offset, self._tokens, self._model)
        right = self._duration + 2 + sum(cells + 2 for cells in optional if cells)
        names = max(cell_len(_name(line).plain) for line in lines)
        self._name = max(20, min(names, (width - right) * 11 // 20))
        self._bar = max(8, width - right - self._name - 2)

    def of(self, line: Line) -> Text:
        start, end = times_of(line.span)
        made = _sized(_name(line), self._name) + Text("  ")
        made.append(*self._bar_of(line.span, start, end))
        made.append(f"  {_duration(line.span):>{self._duration}}")
        if self._offset:
            made.append(f"  {self._offset_of(line.span):>{self._offset}}", "dim")
        if self._tokens:
            made.append(f"  {tokens_text(line.span):>{self._tokens}}", "cyan")
        if self._model:
            made.append("  ").append_text(_sized(_styled(_model(line.span), "magenta"), self._model))
        made.rstrip()
        return made

    def _offset_of(self, span: Span) -> str:
        """Returns the start time relative to the start of the trace."""
        return "+" + duration_text(times_of(span)[0] - self._begin)

    def _bar_of(self, span: Span, start: int, end: int) -> tuple[str, str]:
        """Returns the bar of the span's period within the trace: whole cells, or a thin line for less than
        half a cell."""
        cells = self._bar
        first = min(cells - 1, (start - self._begin) * cells // self._total)
        last = max(first, min(cells, round((end - self._begin) * cells / self._total)))
        bar = "█" * (last - first) if (end - start) * cells * 2 >= self._total and last > first else "▏"
        return (" " * first + bar).ljust(cells), _colour(span)


def _below(out: Console, line: Line, width: int) -> list[Text]:
    """Returns the texts under a line: its errors, wrapped to the width."""
    said = error_text(line.span)
    if not said:
        return []
    drawn = _drawn(line)
    folded = plain(said, ERROR_CHARACTERS).wrap(out, max(8, width - len(drawn) - 2))
    return [
        Text(drawn, "dim") + Text("  " if number else "! ", "red") + _styled(piece, "red")
        for number, piece in enumerate(folded)
    ]


def _drawn(line: Line) -> str:
    """Returns the guides for the lines under a span."""
    return line.guides.replace("├─ ", "│  ").replace("└─ ", "   ").replace(DEEP, "   ")


def _logged(record: Record, drawn: str, begin: int) -> Text:
    """Formats a log record on one line, with its time relative to the start of the trace."""
    level = level_of(record)
    made = Text(drawn, "dim") + Text("· ", "dim")
    if "time" in record:
        since = microseconds(record["time"]) - begin
        made.append(("+" if since >= 0 else "-") + duration_text(abs(since)) + " ", "dim")
    if level:
        made.append_text(_styled(plain(level, 20), _LEVEL_STYLES.get(level, "default"))).append(" ")
    return made.append_text(plain(text_of_record(record), LOG_CHARACTERS))


def _name(line: Line) -> Text:
    made = Text(line.guides, "dim")
    if line.guides.endswith(DEEP):
        made.append(f"{line.level}· ", "dim")
    name = plain(line.span["name"], 400)
    made.append_text(_styled(name if name.plain.strip() else Text("(no name)"), _name_style(line.span)))
    if line.note:
        made.append(f" ({line.note})", "yellow")
    return made


def _sized(text: Text, cells: int) -> Text:
    """Returns the text with exactly this many cells: truncated with an ellipsis, or padded with spaces."""
    if cell_len(text.plain) <= cells:
        return text + Text(" " * (cells - cell_len(text.plain)))
    kept = set_cell_size(text.plain, cells - 1).rstrip()
    cut = text[: len(kept)] + Text("…", "dim")
    return cut + Text(" " * (cells - cell_len(cut.plain)))


def _styled(text: Text, style: str) -> Text:
    text.stylize(style)
    return text


def _name_style(span: Span) -> str:
    return "bold red" if span.get("status") == "error" else "default"


def _colour(span: Span) -> str:
    if span.get("status") == "error":
        return "red"
    operation = span.get("operation")
    if operation == "execute_tool":
        return "yellow"
    return "cyan" if tokens_text(span) or operation == "chat" else "blue"


def _duration(span: Span) -> str:
    start, end = times_of(span)
    return duration_text(end - start)


def _model(span: Span) -> Text:
    return plain(span.get("model", ""), 100)


def _print(out: Console, text: Text, width: int) -> None:
    out.print(text, no_wrap=True, overflow="ellipsis", crop=False, width=width, soft_wrap=True)


__all__ = ["console", "show_trace"]
