"""Makes text from others safe for a terminal: it cannot style, move or hide the output.

All output of a command passes through this module: `escape_output` protects the standard streams, and
`console` returns consoles whose own styles bypass that protection. Pipes and files receive the text
unchanged.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console


def is_control(character: str) -> bool:
    """Returns whether a character is a control. Cc: controls, including ESC; Cf: bidirectional marks; Cs:
    halves of surrogate pairs; Zl and Zp: other line breaks."""
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def escaped(text: str) -> str:
    """Escapes JSON or other text for a terminal: line breaks and tabs stay, all other controls become `\\u`
    escapes, which mean the same in JSON."""
    if text.isprintable():
        return text
    return "".join([_escape(one) if one not in "\n\t" and is_control(one) else one for one in text])


def one_line(text: str) -> str:
    """Returns `text` on one line, with a mark for each control character."""
    if text.isprintable():
        return text
    return "".join([_mark(character) for character in text])


class EscapedTerminal(io.TextIOWrapper):
    """The text stream of a terminal, for text without styles of this program. `terminal` is the wrapped
    stream."""

    def __init__(self, terminal: TextIO) -> None:
        # click bypasses streams that accept ASCII only.
        encoding = "utf-8" if terminal.encoding.lower() in ("ascii", "us-ascii") else terminal.encoding
        super().__init__(terminal.buffer, encoding=encoding, errors="backslashreplace", line_buffering=True)
        self.terminal = terminal
        self._bytes = _EscapedBytes(self)

    @property
    def buffer(self) -> Any:
        """A stream of bytes that are decoded as UTF-8 and escaped in the same way."""
        return self._bytes

    def write(self, text: str, /) -> int:
        super().write(escaped(text))
        return len(text)

    def writelines(self, lines: Iterable[str], /) -> None:  # type: ignore[override]
        for line in lines:
            self.write(line)

    def close(self) -> None:
        """Flushes; the terminal is not closed."""
        self.flush()


class _EscapedBytes(io.BufferedIOBase):
    def __init__(self, terminal: EscapedTerminal) -> None:
        self._terminal = terminal
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._terminal.write(self._decoder.decode(data))
        return len(data)

    def flush(self) -> None:
        self._terminal.flush()


def escape_output() -> None:
    """From this call on, all text that the process prints to terminals is escaped, including error output."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and stream.isatty() and not isinstance(stream, EscapedTerminal):
            setattr(sys, name, EscapedTerminal(stream))


def write_out(data: bytes) -> None:
    """Writes to the standard output at once. If its reader has ended, as `head` does, the process ends quietly."""
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # What is still buffered would fail again at the end of the process.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise SystemExit(0) from None


def console(*, stderr: bool = False, wide: int | None = None) -> Console:
    """Returns a console for styled text. `wide` is its width if the output is not a terminal."""
    from rich.console import Console
    from rich.segment import Segment

    class Escaping(Console):
        def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                text, style, control = segment
                if control or text.isprintable():
                    yield segment
                else:
                    lines = text.split("\n")
                    yield Segment("\n".join(map(one_line, lines)), style)

    file = unescaped(sys.stderr if stderr else sys.stdout)
    is_terminal = file.isatty()
    return Escaping(file=file, highlight=False, width=None if is_terminal else wide)


def unescaped(stream: TextIO) -> TextIO:
    """Returns the stream without the protection: only for a caller that escapes text itself."""
    return stream.terminal if isinstance(stream, EscapedTerminal) else stream


def _escape(character: str) -> str:
    number = ord(character)
    if number < 0x10000:
        return f"\\u{number:04x}"
    return "".join(
        f"\\u{half:04x}" for half in (0xD800 + ((number - 0x10000) >> 10), 0xDC00 + (number & 0x3FF))
    )


def _mark(character: str) -> str:
    if character in "\n\t ":
        return " "
    return "\N{REPLACEMENT CHARACTER}" if is_control(character) else character
