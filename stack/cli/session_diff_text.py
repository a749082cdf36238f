"""Shows the differences of two sessions on a terminal, with `[-removed-]` and `{+added+}` words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from stack.cli.plain_text import plain
from stack.cli.session_diff import CallPiece, Piece, SessionDiff, Side, TurnDiff

CONTEXT_CHARACTERS = 120
"""At most so much of an unchanged piece of text is shown."""
INPUT_CHARACTERS = 100
CALL_CHARACTERS = 160

_MARKS = {"same": ("", "", ""), "removed": ("[-", "-]", "red"), "added": ("{+", "+}", "green")}
_SIGNS = {"same": ("  ", ""), "removed": ("- ", "red"), "added": ("+ ", "green")}
_CHANGES = {"shared": "dim", "same": "dim", "changed": "yellow", "only_a": "red", "only_b": "green"}
_SAID = {"only_a": "only in A", "only_b": "only in B"}


def show(out: Console, diff: SessionDiff, sessions: Sequence[Mapping[str, Any]]) -> None:
    """Prints the differences. `sessions` are A and B as the server answers them."""
    for name, session in zip("AB", sessions, strict=True):
        count = len(session["turns"])
        line = Text.assemble((name, "bold"), " ", plain(session["session_id"]), "  ")
        line.append_text(plain(session["session_name"], 60))
        line.append(f"  {count} turn{'' if count == 1 else 's'}", "dim")
        out.print(line)
    counts = (
        ("shared", diff.shared),
        ("same", diff.same),
        ("changed", diff.changed),
        ("only in A", diff.only_a),
        ("only in B", diff.only_b),
    )
    out.print(Text("turns: " + (", ".join(f"{count} {name}" for name, count in counts if count) or "none")))
    shared = 0
    for turn in diff.turns:
        if turn.change == "shared":
            shared += 1
            continue
        if shared:
            _skipped(out, turn.number - shared, shared)
            shared = 0
        _turn(out, turn)
    if shared:
        _skipped(out, len(diff.turns) + 1 - shared, shared)


def _skipped(out: Console, first: int, count: int) -> None:
    numbers = f"turn {first}" if count == 1 else f"turns {first} to {first + count - 1}"
    out.print()
    out.print(Text(f"{numbers}  shared", "dim"))


def _turn(out: Console, turn: TurnDiff) -> None:
    out.print()
    said = _SAID.get(turn.change, turn.change)
    line = Text.assemble((f"turn {turn.number}", "bold"), "  ", (said, _CHANGES[turn.change]))
    if turn.copied_steps:
        steps = "1 step" if turn.copied_steps == 1 else f"{turn.copied_steps} steps"
        line.append(f"  the first {steps} copied", "dim")
    out.print(line)
    out.print(_measures(turn.a, turn.b))
    _text(out, "user  ", turn.input, INPUT_CHARACTERS)
    for call in turn.calls:
        out.print(_call(call))
    _text(out, "answer", turn.answer, CONTEXT_CHARACTERS)


def _measures(a: Side | None, b: Side | None) -> Text:
    """Returns one line: the status, tokens, time and score of A and, after an arrow, of B."""
    line = Text("  ", "dim")
    for title, name, unit, form in (
        ("", "status", "", "s"),
        ("in ", "input_tokens", "", "d"),
        ("out ", "output_tokens", "", "d"),
        ("", "duration_ms", " ms", ".0f"),
        ("score ", "score", "", ".3g"),
    ):
        values = [
            format(getattr(side, name), form)
            for side in (a, b)
            if side is not None and getattr(side, name) not in (None, "")
        ]
        if not values:
            continue
        has_changed = len(values) == 2 and values[0] != values[1]
        text = f"{values[0]} -> {values[1]}" if has_changed else values[0]
        line.append(f"{title}{text}{unit}   ", "yellow" if has_changed and name == "status" else "dim")
    line.rstrip()
    return line


def _text(out: Console, title: str, pieces: Sequence[Piece], context: int) -> None:
    if not pieces:
        return
    line = Text(f"  {title}  ")
    line.stylize("dim")
    for piece in pieces:
        before, after, style = _MARKS[piece.part]
        inner = piece.text.strip() if before else piece.text
        if not before and len(inner) > context:
            half = context // 2
            inner = f"{inner[:half]} ... {inner[-half:]}"
        if before:
            line.append(piece.text[: len(piece.text) - len(piece.text.lstrip())].replace("\n", " "))
        line.append(before, style)
        line.append_text(Text(plain(inner).plain, style))
        line.append(after, style)
    out.print(line)


def _call(call: CallPiece) -> Text:
    sign, style = _SIGNS[call.part]
    line = Text(f"  {sign}call  ", style or "dim")
    line.append_text(Text(plain(f"{call.tool} {call.arguments}", CALL_CHARACTERS).plain, style))
    if call.result == "changed":
        line.append("  another result", "yellow")
    return line
