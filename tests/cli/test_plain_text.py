"""Text of others on a terminal."""

from __future__ import annotations

import io
import json

from stack.cli.terminal import EscapedTerminal, escaped

NASTY = "a\x1b[31m\x07\x9b0m\u202e\u200fb\x7f\tä\n"


def test_control_characters_are_escaped_as_json_reads_them() -> None:
    row = json.dumps({"text": NASTY}, ensure_ascii=False)
    shown = escaped(row)
    assert json.loads(shown) == {"text": NASTY}
    assert not any(sign in shown for sign in "\x1b\x07\x9b\u202e\u200f\x7f") and "ä" in shown
    assert escaped("a\tb\n") == "a\tb\n"


def test_a_terminal_gets_escapes_wherever_the_bytes_are_cut() -> None:
    out = io.BytesIO()
    terminal = EscapedTerminal(io.TextIOWrapper(out, encoding="utf-8", newline=""))
    for byte in NASTY.encode():
        terminal.buffer.write(bytes([byte]))
    terminal.flush()
    assert out.getvalue().decode() == escaped(NASTY)
