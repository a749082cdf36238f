"""Puts the tool calls of an answer together from their pieces, however a server tells the calls apart.

Known to happen: pieces that interleave by index; an index that is always 0 or missing; an id that is missing, new
in each piece, or the same for several calls; a name that comes after the id, in each piece or in pieces itself;
arguments as an object, as a growing prefix, as `{}` before the real ones, or not at all. A piece belongs to the
call of its id, else of its index, else of its place in the order; it begins another call where it cannot go on
with that one.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Collection, Sequence
from typing import Any

from msgspec import Struct

from stack.providers.inference.lenient_json import Characters, clean, count_in, name_in
from stack.providers.inference.port import ToolCallChunk

MAX_CALLS = 128

_NO_ARGUMENTS = frozenset(("{}", "null"))
_MARKS = re.compile(r'\\.|["{}\[\]]', re.DOTALL)


class TooManyCalls(ValueError):
    """An answer has more than 128 calls."""


class _Piece(Struct, frozen=True):
    index: int | None
    id: str
    name: str
    arguments: Any

    @property
    def begins_arguments(self) -> bool:
        if isinstance(self.arguments, str):
            return self.arguments.lstrip().startswith("{")
        return isinstance(self.arguments, dict)

    @property
    def goes_on(self) -> bool:
        """Whether the arguments can only be the rest of others."""
        return isinstance(self.arguments, str) and bool(self.arguments) and not self.begins_arguments


class _Call:
    """One call so far. `text` are its arguments as they came, `fields` those that came as an object. `complete`
    once the arguments are a whole JSON object."""

    def __init__(self, number: int, piece: _Piece) -> None:
        self.number = number
        self.id = piece.id
        self.index = piece.index
        self.name = ""
        self.text = ""
        self.fields: dict[str, Any] | None = None
        self.complete = False
        self.given = -1
        """How many characters of `text` were given out; -1 before the call itself was."""
        self._cumulative = False
        self._characters = Characters()
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def add_name(self, name: str) -> None:
        if self.given >= 0 or name == self.name:
            return
        self.name = name if name.startswith(self.name) else self.name + name

    def add_arguments(self, arguments: Any) -> None:
        if arguments is None or arguments in ("", [], {}):
            return
        if isinstance(arguments, dict):
            if not self.text:
                self.fields = {**(self.fields or {}), **arguments}
                self.complete = True
            return
        if not isinstance(arguments, str):
            arguments = json.dumps(arguments)
        if self.complete or (not self.text and arguments.strip() in _NO_ARGUMENTS):
            return
        if self._repeats(arguments):
            self._cumulative = True
            arguments = arguments[len(self.text) :]
        arguments = self._characters.feed(arguments)
        self.text += arguments
        self._scan(arguments)

    def _repeats(self, arguments: str) -> bool:
        """Whether a piece holds all arguments so far and more. After `:`, `[` and `,` an object may follow that
        begins like the outer one."""
        if not self.text.startswith("{") or not arguments.startswith(self.text):
            return False
        return self._cumulative or self.text[-1] not in ":[,"

    def _scan(self, text: str) -> None:
        """Follows the nesting, so that the end of the object is seen without decoding it again and again."""
        if not text:
            return
        start = 1 if self._escaped else 0
        self._escaped = False
        for match in _MARKS.finditer(text, start):
            mark = match.group()
            if mark == '"':
                self._in_string = not self._in_string
            elif self._in_string or mark[0] == "\\":
                continue
            elif mark in "{[":
                self._depth += 1
            else:
                self._depth -= 1
                self.complete = self.complete or self._depth <= 0
        trailing = len(text) - len(text.rstrip("\\"))
        self._escaped = self._in_string and (trailing - (trailing == len(text) and start)) % 2 == 1

    def end(self) -> None:
        if self.fields is not None:
            self.text = clean(json.dumps(self.fields, ensure_ascii=False, separators=(",", ":")))
            self.fields = None
        self.text += self._characters.end()

    def same_arguments(self, piece: _Piece) -> bool:
        if isinstance(piece.arguments, dict):
            return piece.arguments == self.fields
        return bool(piece.arguments == self.text)

    @property
    def is_empty(self) -> bool:
        return not (self.id or self.name or self.text or self.fields)


class ToolCalls:
    """The calls of one answer. They are given out one after the other: the pieces of a call follow each other,
    and its id and name are in the first of them."""

    def __init__(self, tools: Callable[[], Collection[str]]) -> None:
        """`tools` gives the names of the tools that the model was offered."""
        self._tools = tools
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}
        self._batch: list[_Call] = []
        self._at = 0

    def __len__(self) -> int:
        return sum(1 for call in self._calls if not call.is_empty)

    def add(self, pieces: Any) -> list[ToolCallChunk]:
        """Takes the `tool_calls` of one delta; returns what can be given out. Raises TooManyCalls."""
        read = [_read(piece) for piece in (pieces if isinstance(pieces, list) else [pieces])]
        present = [piece for piece in read if piece is not None]
        begun: list[_Call] = []
        for position, piece in enumerate(present):
            call = self._of(piece, position, len(present) > 1, begun)
            if call is None:
                call = self._begin(piece)
                begun.append(call)
            if piece.id:
                call.id = call.id or piece.id
                self._by_id.setdefault(piece.id, call)
            if piece.index is not None:
                self._by_index.setdefault(piece.index, call)
            call.add_name(piece.name)
            call.add_arguments(piece.arguments)
        if begun:
            self._batch = begun
        return self._given()

    def end(self) -> list[ToolCallChunk]:
        """The rest, once nothing more comes. A call without a name is left out; see `nameless`."""
        return self._given(at_end=True)

    @property
    def nameless(self) -> bool:
        """Whether there is a call of which no name was said."""
        return any(not call.name and not call.is_empty for call in self._calls)

    def _begin(self, piece: _Piece) -> _Call:
        if len(self._calls) >= MAX_CALLS:
            raise TooManyCalls
        call = _Call(len(self._calls), piece)
        self._calls.append(call)
        if piece.index is not None:
            self._by_index[piece.index] = call
        if piece.id:
            self._by_id[piece.id] = call
        return call

    def _of(self, piece: _Piece, position: int, several: bool, begun: Sequence[_Call]) -> _Call | None:
        """The call that a piece goes on with; None where it begins one."""
        if piece.id:
            known = self._of_id(piece)
        elif piece.index is not None:
            known = self._by_index.get(piece.index) or self._without_index(piece)
        else:
            known = self._by_order(piece, position, several, begun)
        if known is None or (known in begun and several and piece.name) or self._begins_another(known, piece):
            return None
        return known

    def _of_id(self, piece: _Piece) -> _Call | None:
        at_index = None if piece.index is None else self._by_index.get(piece.index)
        known = self._by_id.get(piece.id)
        if known is not None:
            if at_index is not None and at_index.id == piece.id:
                return at_index
            elsewhere = piece.index is not None and at_index is None and known.index is not None
            return None if elsewhere and piece.name and not piece.goes_on else known
        call = at_index if piece.index is not None else (self._calls[-1] if self._calls else None)
        if call is None:
            return None
        if not call.id:
            # Its id comes late.
            return call if piece.index is not None or not (piece.name and call.name) else None
        if piece.index is not None and piece.goes_on and not piece.name and call.text and not call.complete:
            # A new id in each piece.
            return call
        return None

    def _without_index(self, piece: _Piece) -> _Call | None:
        """The call of a piece that has neither id nor name and an index that is new: the call's own first piece
        had none, or the pieces are numbered one by one."""
        if piece.name or piece.index is None or not self._calls:
            return None
        if piece.index < len(self._calls) and self._calls[piece.index].index is None:
            return self._calls[piece.index]
        return None if self._calls[-1].complete else self._calls[-1]

    def _by_order(self, piece: _Piece, position: int, several: bool, begun: Sequence[_Call]) -> _Call | None:
        if not self._calls:
            return None
        if several:
            earlier = self._batch if not begun else []
            return earlier[position] if position < len(earlier) else None
        if piece.name or len(self._batch) < 2:
            return self._calls[-1]
        return next((call for call in self._batch if not call.complete), self._calls[-1])

    def _begins_another(self, call: _Call, piece: _Piece) -> bool:
        if not piece.name or not call.name:
            return False
        if piece.name != call.name:
            return bool(call.text or call.fields) or not self._name_goes_on(call.name, piece.name)
        if not call.complete or not piece.begins_arguments:
            return False
        same_id = bool(piece.id) and piece.id == call.id
        return not (same_id and (isinstance(piece.arguments, dict) or call.same_arguments(piece)))

    def _name_goes_on(self, known: str, more: str) -> bool:
        """Whether two names are pieces of one."""
        tools = self._tools()
        if known in tools and more in tools:
            return False
        if more.startswith(known) or any(name.startswith(known + more) for name in tools):
            return True
        return known not in tools and more not in tools

    def _given(self, at_end: bool = False) -> list[ToolCallChunk]:
        chunks: list[ToolCallChunk] = []
        while self._at < len(self._calls):
            call = self._calls[self._at]
            last = self._at == len(self._calls) - 1
            # What came as an object may grow until the next call begins.
            settled = at_end or (call.complete and not last and bool(call.name))
            if settled:
                call.end()
            if call.name and (call.text or settled):
                chunks += _chunks(call)
            if not settled:
                break
            self._at += 1
        return chunks


def _chunks(call: _Call) -> list[ToolCallChunk]:
    if call.given < 0:
        call.given = len(call.text)
        return [ToolCallChunk(call.number, call.id or f"call_{secrets.token_hex(12)}", call.name, call.text)]
    more, call.given = call.text[call.given :], len(call.text)
    return [ToolCallChunk(call.number, arguments=more)] if more else []


def _read(piece: Any) -> _Piece | None:
    if not isinstance(piece, dict):
        return None
    function = piece.get("function")
    said = function if isinstance(function, dict) else piece
    arguments = said.get("arguments")
    if arguments is None:
        arguments = said.get("parameters")
    read = _Piece(
        count_in(piece.get("index")), name_in(piece.get("id")), name_in(said.get("name")), arguments
    )
    return None if read.index is None and not (read.id or read.name or arguments) else read
