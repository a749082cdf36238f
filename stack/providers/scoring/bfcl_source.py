"""Parses a function call that a model wrote in Java or JavaScript.

Its arguments stay source text until their expected type is known. Text that is not a literal of that type
stays text: a variable.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from stack.providers.scoring.bfcl_python import Call, NoCall

if TYPE_CHECKING:
    from tree_sitter import Node

GRAMMARS = {"Java": "tree_sitter_java", "JavaScript": "tree_sitter_javascript"}

_INTEGER = re.compile(r"-?\d+")
# The literals of each type. Suffixes of numbers are removed before parsing.
_NUMBERS = {
    "byte": (_INTEGER, int),
    "short": (_INTEGER, int),
    "integer": (_INTEGER, int),
    "long": (re.compile(r"-?\d+[lL]"), int),
    "Bigint": (re.compile(r"-?\d+n"), int),
    "float": (re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?[fF]"), float),
    "double": (re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"), float),
}
_JAVASCRIPT_FLOAT = (re.compile(r"-?\d+(?:\.\d+)?"), float)
_LISTS = frozenset(("Array", "ArrayList", "Queue", "Stack", "Set", "array"))
_DICTS = frozenset(("HashMap", "Hashtable", "dict"))
_TEXTS = frozenset(("string_literal", "character_literal", "string", "template_string"))
_MAX_DIGITS = 300


class Source:
    """An argument in its source form."""

    def __init__(self, node: Node, language: str) -> None:
        self._node = node
        self._language = language

    @property
    def text(self) -> str:
        """The source text; for a string literal, the text between its quotes."""
        text = (self._node.text or b"").decode()
        return text[1:-1] if self._node.type in _TEXTS else text

    def value(self, kind: str, nested: str | None) -> Any:
        """Returns the value as JSON, parsed as the type `kind` with elements of the type `nested`."""
        if kind in _NUMBERS:
            return self._number(kind)
        if kind in ("boolean", "Boolean"):
            return self.text == "true" if self.text in ("true", "false") else self.text
        if kind in _LISTS:
            elements = self._elements()
            return self.text if elements is None else [one._as(nested) for one in elements]
        if kind in _DICTS:
            pairs = self._pairs()
            return self.text if pairs is None else {key: value._as(None) for key, value in pairs}
        return self.text

    def _number(self, kind: str) -> Any:
        text = self.text
        javascript = self._language == "JavaScript" and kind == "float"
        pattern, convert = _JAVASCRIPT_FLOAT if javascript else _NUMBERS[kind]
        if not pattern.fullmatch(text) or len(text) > _MAX_DIGITS:
            return text
        return convert(text.rstrip("lLnfF"))

    def _as(self, kind: str | None) -> Any:
        """Returns an element of a list or a dictionary; without a known type, by its form."""
        if kind is not None:
            return self.value(kind, None)
        if self._node.type in _TEXTS:
            return self.text
        for container in ("array", "dict"):
            value = self.value(container, None)
            if not isinstance(value, str):
                return value
        for guess in ("boolean", "integer", "long", "double", "float"):
            value = self.value(guess, None)
            if not isinstance(value, str):
                return value
        return self.text

    def _elements(self) -> list[Source] | None:
        """Returns the elements of a list, None if it is not a list: `{1, 2}`, `[1, 2]`, `Arrays.asList(1,
        2)`, `new ArrayList<>() {{ add(1); }}`."""
        node = self._node
        if node.type == "array_creation_expression":
            initializer = node.child_by_field_name("value")
            return self._children(initializer) if initializer is not None else []
        if node.type in ("array", "array_initializer"):
            return self._children(node)
        if node.type == "method_invocation" and _called(node) in ("asList", "of"):
            return self._children(node.child_by_field_name("arguments"))
        if node.type == "object_creation_expression":
            added = list(self._inner_calls("add"))
            if added:
                return [arguments[0] for arguments in added if arguments]
            given = self._children(node.child_by_field_name("arguments"))
            return (given[0]._elements() if len(given) == 1 else None) if given else []
        return None

    def _pairs(self) -> list[tuple[str, Source]] | None:
        """Returns the pairs of a dictionary, None if it is not a dictionary: `{a: 1}`, `Map.of("a", 1)`,
        `new HashMap<>() {{ put("a", 1); }}`."""
        node = self._node
        if node.type == "object":
            pairs = [child for child in node.named_children if child.type == "pair"]
            return [(self._field(pair, "key").text, self._field(pair, "value")) for pair in pairs]
        if node.type == "method_invocation" and _called(node) == "of":
            given = self._children(node.child_by_field_name("arguments"))
            return [(key.text, value) for key, value in zip(given[::2], given[1::2], strict=False)]
        if node.type == "object_creation_expression":
            return [(given[0].text, given[1]) for given in self._inner_calls("put") if len(given) == 2]
        return None

    def _field(self, node: Node, name: str) -> Source:
        found = node.child_by_field_name(name)
        assert found is not None
        return Source(found, self._language)

    def _children(self, node: Node | None) -> list[Source]:
        return [Source(child, self._language) for child in node.named_children] if node is not None else []

    def _inner_calls(self, name: str) -> Iterator[list[Source]]:
        """Yields the arguments of the calls of `name` in a `{{ ... }}` after a constructor."""
        waiting = [child for child in self._node.named_children if child.type == "class_body"]
        while waiting:
            node = waiting.pop(0)
            if node.type == "method_invocation" and _called(node) == name:
                yield self._children(node.child_by_field_name("arguments"))
            elif node.type in ("class_body", "block", "expression_statement"):
                waiting.extend(node.named_children)


def source_calls(written: str, language: str) -> list[Call]:
    """Parses the call in `[f(a=1)]`, with or without the brackets. Raises NoCall."""
    plain = written.replace("\n", " ").strip().removeprefix("[").removesuffix("]").rstrip(";") + ";"
    root = _parsed(plain, language)
    if root.has_error:
        raise NoCall(f"it is not valid {language}")
    waiting = [root]
    while waiting:
        node = waiting.pop(0)
        if node.type in ("method_invocation", "call_expression"):
            return [Call(_full_name(node), _arguments(node, language))]
        waiting.extend(node.named_children)
    return []


def _parsed(text: str, language: str) -> Node:
    from tree_sitter import Language, Parser

    grammar = importlib.import_module(GRAMMARS[language])
    return Parser(Language(grammar.language())).parse(text.encode()).root_node


def _arguments(node: Node, language: str) -> dict[str, Any]:
    given = node.child_by_field_name("arguments")
    arguments: dict[str, Any] = {}
    for child in given.named_children if given is not None else ():
        name, value = "", child
        if child.type == "assignment_expression":
            left, right = child.child_by_field_name("left"), child.child_by_field_name("right")
            assert left is not None and right is not None
            name, value = _text(left), right
        if name in arguments:
            raise NoCall(f"it gives the argument {name[:80]!r} twice")
        arguments[name] = Source(value, language)
    return arguments


def _full_name(node: Node) -> str:
    if node.type == "call_expression":
        return _text(node.child_by_field_name("function"))
    owner = node.child_by_field_name("object")
    return f"{_text(owner)}.{_called(node)}" if owner is not None else _called(node)


def _called(node: Node) -> str:
    return _text(node.child_by_field_name("name"))


def _text(node: Node | None) -> str:
    return (node.text or b"").decode() if node is not None else ""
