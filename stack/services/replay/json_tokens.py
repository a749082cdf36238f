"""Finds the values of a JSON text and their places in it, so that some can be replaced and the rest stays as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_decode_text = msgspec.json.Decoder(str).decode


class Token(NamedTuple):
    """A text (also the name of a field), or a number: `text` is the decoded text, or the digits. `start` and `end` are
    characters."""

    keys: tuple[str | int, ...]
    start: int
    end: int
    text: str
    is_number: bool = False
    is_name: bool = False


def is_json_container(text: str) -> bool:
    """Returns whether a text is a JSON object or array."""
    stripped = text.strip()
    if not stripped or (stripped[0], stripped[-1]) not in (("{", "}"), ("[", "]")):
        return False
    try:
        msgspec.json.decode(stripped)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
    return True


def tokens(text: str) -> Iterator[Token]:
    """Yields the tokens of a valid JSON text."""
    place: list[str | int] = []
    names: list[bool] = []
    """For each open container, whether the next text in it is a name; False in arrays."""
    objects: list[bool] = []
    for found in _TOKEN.finditer(text):
        piece, (start, end) = found.group(), found.span()
        match piece[0]:
            case "{" | "[":
                objects.append(piece == "{")
                names.append(piece == "{")
                place.append("" if piece == "{" else 0)
            case "}" | "]":
                objects.pop()
                names.pop()
                place.pop()
            case ",":
                if objects[-1]:
                    names[-1] = True
                else:
                    place[-1] = int(place[-1]) + 1
            case ":":
                names[-1] = False
            case '"':
                decoded = _decode_text(piece)
                if names and names[-1]:
                    place[-1] = decoded
                    yield Token(tuple(place), start, end, decoded, is_name=True)
                else:
                    yield Token(tuple(place), start, end, decoded)
            case "t" | "f" | "n":
                continue
            case _:
                yield Token(tuple(place), start, end, piece, is_number=True)
