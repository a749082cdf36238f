"""Makes and checks the lines of a session file: their counts, their digests and their hash chain."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import msgspec
from msgspec import Struct

from schemas.session_file import SessionFileEnd
from stack.errors import Invalid

_encode = msgspec.json.Encoder().encode
_closing = msgspec.json.Decoder(SessionFileEnd)
_ORIGIN = sha256(b"replaystack session file 1").digest()
_DIGITS = 8
_EVENT, _BLOB, _END = b'{"line":"event"', b'{"line":"blob"', b'{"line":"end"'

AGAIN = "Export the session again, or restore the file."


class Lines:
    """Encodes the lines of one file in order."""

    def __init__(self) -> None:
        self._chain = _ORIGIN
        self._digests: list[str] = []
        self._events = self._blobs = 0

    def line(self, content: Struct | bytes) -> bytes:
        """Returns the next line, with its line break. Bytes are a whole JSON object."""
        text = content if isinstance(content, bytes) else _encode(content)
        if b"\n" in text:
            # A line break between the tokens of a state; in a string it is escaped.
            text = msgspec.json.format(text, indent=-1)
        self._events += text.startswith(_EVENT)
        self._blobs += text.startswith(_BLOB)
        digest = sha256(text)
        self._digests.append(digest.hexdigest()[:_DIGITS])
        self._chain = sha256(self._chain + digest.digest()).digest()
        return text + b"\n"

    def closing(self) -> bytes:
        """Returns the last line."""
        end = SessionFileEnd(
            events=self._events,
            blobs=self._blobs,
            digests="".join(self._digests),
            chain=self._chain.hex(),
        )
        return _encode(end) + b"\n"


def checked_lines(content: bytes) -> tuple[Sequence[bytes], SessionFileEnd]:
    """Returns the lines before the closing one, and that one. Raises Invalid if lines are missing, were added or changed."""
    *lines, rest = content.split(b"\n")
    last = lines.pop() if lines else b""
    try:
        # The type of a line that is decoded alone would not be required.
        end = _closing.decode(last if last.startswith(_END) else b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Invalid(f"The session file is truncated: its closing line is missing. {AGAIN}") from None
    if rest:
        raise Invalid(f"The session file continues after its closing line. {AGAIN}")
    recorded = [end.digests[start : start + _DIGITS] for start in range(0, len(end.digests), _DIGITS)]
    chain = _ORIGIN
    for number, line in enumerate(lines, 1):
        digest = sha256(line)
        if number > len(recorded) or digest.hexdigest()[:_DIGITS] != recorded[number - 1]:
            raise Invalid(_changed(number, len(lines), len(recorded)))
        chain = sha256(chain + digest.digest()).digest()
    if len(lines) < len(recorded):
        raise Invalid(
            f"The session file is truncated: {len(recorded) - len(lines)} of {len(recorded)} lines are missing "
            f"before its closing line. {AGAIN}"
        )
    if chain.hex() != end.chain:
        raise changed_end()
    return lines, end


def changed_end() -> Invalid:
    return Invalid(
        "The counts or the hash chain of the session file are not those of its lines: its closing line was changed. "
        f"{AGAIN}"
    )


def _changed(number: int, given: int, recorded: int) -> str:
    """Returns the text for the first line whose digest differs."""
    if given == recorded:
        return f"Line {number} of the session file is not what was written. {AGAIN}"
    some = f"{abs(given - recorded)} line{'s' if abs(given - recorded) > 1 else ''}"
    what = f"{some} more than" if given > recorded else f"{some} fewer than"
    return f"Line {number} of the session file is not what was written there: the file has {what} were written. {AGAIN}"
