"""Replaces long strings of an event's JSON by markers that name a blob: `{"$blob":"<sha256>","bytes":n}`.

Documents are never parsed completely: string tokens are found in the bytes and the rest is copied unchanged,
so numbers keep every digit. A caller's own key `$blob` is escaped to `$$blob` (`$$blob` to `$$$blob`, and so
on) when it is stored and unescaped when it is read, so that data can never act as a marker.
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
# Or the beginning of an escaped key. A quote after a backslash is inside a string: in `"\"$$blob"` no key
# begins at the second quote.
_MARKER_OR_ESCAPE = re.compile(_MARKER.pattern + rb'|(?<!\\)"\$(?=\$+blob"\s*:)')

_QUOTE, _BACKSLASH, _COLON = b'"', 0x5C, 0x3A


def may_need_markers(state: bytes) -> bool:
    """Returns whether `dehydrate` could change anything. `\\u00` may encode the `$` or a letter of a reserved
    key."""
    return len(state) > LONG_STRING_BYTES or b"$blob" in state or b"\\u00" in state


def dehydrate(state: bytes, store: Callable[[bytes], str]) -> bytes:
    """Replaces each string value longer than 256 KiB (UTF-8) by a marker; `store(content)` stores it and
    returns its digest. Escapes reserved keys."""
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
    """Restores the strings; `load(digest)` returns a blob's content. Takes only one search if there are no
    markers."""
    if b'$blob"' not in state:
        return state

    def restored(match: re.Match[bytes]) -> bytes:
        return _encode(load(match[1].decode()).decode()) if match[1] else b'"'

    # In one pass: a second one would search the long strings too, at 5 ms per MiB during which the GIL is
    # held.
    return _MARKER_OR_ESCAPE.sub(restored, state)


def hydrated_bytes(state: bytes) -> int:
    """Returns the approximate size of a stored state with its strings restored: the memory that its event
    takes."""
    if b'"$blob"' not in state:
        return len(state)
    return len(state) + sum(int(match[2]) for match in _MARKER.finditer(state))


def digests_in(state: bytes) -> list[str]:
    """Returns the blobs to which a stored state refers."""
    return [match[1].decode() for match in _MARKER.finditer(state)] if b'"$blob"' in state else []


def _strings(state: bytes) -> Iterator[tuple[int, int]]:
    """Yields start and end of every string token. `find` runs at memory speed and, unlike one long match of a
    regular expression, allows other threads to run in between."""
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
    if len(content) <= LONG_STRING_BYTES:  # it was long because of its escapes, not its text
        return token
    return b'{"$blob":"%s","bytes":%d}' % (store(content).encode(), len(content))
