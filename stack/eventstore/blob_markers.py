"""Long strings of an event's JSON travel as markers that name a blob: `{"$blob":"<sha256>","bytes":n}`.

Nothing here parses whole documents: it finds string tokens in the bytes and copies the rest untouched, so
numbers keep every digit. A caller's own key `$blob` is escaped to `$$blob` (`$$blob` to `$$$blob`, and so on)
on the way in and unescaped on the way out, so that data can never act as a marker.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import msgspec

LONG_STRING_BYTES = 256 * 1024

_decode_string = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode

_RESERVED_KEY = re.compile(rb'"\$+blob"')
_MARKER = re.compile(rb'\{\s*"\$blob"\s*:\s*"([0-9a-f]{64})"\s*,\s*"bytes"\s*:\s*([0-9]+)\s*\}')
# Or the first sign of an escaped key. A quote that follows a backslash is inside a string: in `"\"$$blob"` no key
# begins at the second quote.
_MARKER_OR_ESCAPE = re.compile(_MARKER.pattern + rb'|(?<!\\)"\$(?=\$+blob"\s*:)')

_QUOTE, _BACKSLASH, _COLON = b'"', 0x5C, 0x3A


def may_need_markers(state: bytes) -> bool:
    """Whether `dehydrate` could change anything. `\\u00` may spell the `$` or a letter of a reserved key."""
    return len(state) > LONG_STRING_BYTES or b"$blob" in state or b"\\u00" in state


def dehydrate(state: bytes, store: Callable[[bytes], str]) -> bytes:
    """Replaces each string value above 256 KiB (UTF-8) by a marker; `store(content)` keeps it and returns its
    digest. Escapes reserved keys."""
    pieces: list[bytes] = []
    copied = 0
    for start, end in _strings(state):
        token = state[start:end]
        if _is_key(state, end):
            replacement = _escaped_key(token)
        elif len(token) > LONG_STRING_BYTES:
            replacement = _marker_for(token, store)
        else:
            continue
        if replacement is not token:
            pieces += (state[copied:start], replacement)
            copied = end
    return b"".join((*pieces, state[copied:])) if pieces else state


def hydrate(state: bytes, load: Callable[[str], bytes]) -> bytes:
    """Puts the strings back; `load(digest)` gives a blob's content. Costs one search where there is nothing."""
    if b'$blob"' not in state:
        return state

    def restored(match: re.Match[bytes]) -> bytes:
        return _encode(load(match[1].decode()).decode()) if match[1] else b'"'

    # One pass: a second one would search the long strings too, at 5 ms per MiB in which no one else runs.
    return _MARKER_OR_ESCAPE.sub(restored, state)


def hydrated_bytes(state: bytes) -> int:
    """How long a stored state is about to be with its strings in place: what its event takes in memory."""
    if b'"$blob"' not in state:
        return len(state)
    return len(state) + sum(int(match[2]) for match in _MARKER.finditer(state))


def digests_in(state: bytes) -> list[str]:
    """The blobs that a stored state refers to."""
    return [match[1].decode() for match in _MARKER.finditer(state)] if b'"$blob"' in state else []


def _strings(state: bytes) -> Iterator[tuple[int, int]]:
    """Start and end of every string token. `find` runs at the speed of memory and, unlike one long match of a
    regular expression, lets other threads in between."""
    start = state.find(_QUOTE)
    while start >= 0:
        end = state.find(_QUOTE, start + 1)
        while _is_escaped(state, end):
            end = state.find(_QUOTE, end + 1)
        yield start, end + 1
        start = state.find(_QUOTE, end + 1)


def _is_escaped(state: bytes, quote: int) -> bool:
    before = quote - 1
    while state[before] == _BACKSLASH:
        before -= 1
    return (quote - before) % 2 == 0


def _is_key(state: bytes, end: int) -> bool:
    while end < len(state) and state[end] in b" \t\r\n":
        end += 1
    return end < len(state) and state[end] == _COLON


def _escaped_key(token: bytes) -> bytes:
    if b"\\" in token and len(token) < 1_000:
        plain = _encode(_decode_string(token))
        return b'"$' + plain[1:] if _RESERVED_KEY.fullmatch(plain) else token
    return b'"$' + token[1:] if _RESERVED_KEY.fullmatch(token) else token


def _marker_for(token: bytes, store: Callable[[bytes], str]) -> bytes:
    content = _decode_string(token).encode()
    if len(content) <= LONG_STRING_BYTES:  # the escapes made it long, not the text
        return token
    return b'{"$blob":"%s","bytes":%d}' % (store(content).encode(), len(content))
