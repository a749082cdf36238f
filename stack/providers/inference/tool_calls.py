"""Assembles the tool calls of an answer from their parts, however a server identifies the calls.

Observed variants: parts that are interleaved by index; an index that is always 0 or missing; an id that is
missing, new in each part, or the same for several calls; a name that arrives after the id, in each part, or
in parts itself; arguments as an object, as a growing prefix, as `{}` before the actual ones, or missing. A
part belongs to the call of its id, otherwise of its index, otherwise of its position; it starts another call
if it cannot continue that one.
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
        """Whether the arguments can only continue earlier ones."""
        return isinstance(self.arguments, str) and bool(self.arguments) and not self.begins_arguments


class _Call:
    """One call so far. `text` holds the arguments received as text, `fields` those received as an object.
    `complete` is set once the arguments are a whole JSON object."""

    def __init__(self, number: int, piece: _Piece) -> None:
        self.number = number
        self.id = piece.id
        self.index = piece.index
        self.name = ""
        self.text = ""
        self.fields: dict[str, Any] | None = None
        self.complete = False
        self.given = -1
        """The number of characters of `text` that were passed on; -1 before the call itself was."""
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
        """Returns whether a part repeats all arguments so far and adds more. After `:`, `[` and `,` an object
        may follow that begins like the outer one."""
        if not self.text.startswith("{") or not arguments.startswith(self.text):
            return False
        return self._cumulative or self.text[-1] not in ":[,"

    def _scan(self, text: str) -> None:
        """Tracks the nesting, so that the end of the object is found without decoding it repeatedly."""
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
    """The calls of one answer. They are passed on one after the other: the parts of a call follow each other,
    and its id and name are in the first of them."""

    def __init__(self, tools: Callable[[], Collection[str]]) -> None:
        """`tools` returns the names of the tools that the model was offered."""
        self._tools = tools
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}
        self._batch: list[_Call] = []
        self._at = 0

    def __len__(self) -> int:
        return sum(1 for call in self._calls if not call.is_empty)

    def add(self, pieces: Any) -> list[ToolCallChunk]:
        """Adds the `tool_calls` of one delta; returns the parts that can be passed on. Raises
        TooManyCalls."""
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
        """Returns the rest, after the last delta. A call without a name is left out; see `nameless`."""
        return self._given(at_end=True)

    @property
    def nameless(self) -> bool:
        """Whether there is a call without a name."""
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
        """Returns the call that a part continues; None if it starts one."""
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
            # Its id arrives late.
            return call if piece.index is not None or not (piece.name and call.name) else None
        if piece.index is not None and piece.goes_on and not piece.name and call.text and not call.complete:
            # A new id in each part.
            return call
        return None

    def _without_index(self, piece: _Piece) -> _Call | None:
        """Returns the call of a part with neither id nor name and with a new index: the first part of the
        call had no index, or the parts are numbered individually."""
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
        """Returns whether two names are parts of one."""
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
            # Arguments that arrive as an object may grow until the next call starts.
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
