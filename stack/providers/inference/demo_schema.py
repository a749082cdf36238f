"""Generates JSON that matches a schema, with values from a text. Deterministic.

Each value is the first candidate that the schema accepts: the text's value for the property's name, other
values of that kind in the text, the default, and finally a value built from the schema's own bounds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

from stack.domain.json_schema import mismatch
from stack.errors import Invalid

MAX_DEPTH = 12
MAX_ITEMS = 100
MAX_VALUES = 10_000
EXPRESSION_WORDS = frozenset(("expression", "formula", "calculation", "equation"))
EXPRESSION = re.compile(
    r"[-(]{0,8}\d[\d.]{0,30}(?:\s{0,4}[-+*/^%x\u00d7]\s{0,4}[-(]{0,8}\d[\d.]{0,30}\){0,8})+"
)
_NUMBER = r"(?<![\w.])(-?\d+(?:\.\d+)?)(?![\w]|\.\d)"
_QUOTED = r"[\"\u201c'\u2018`]([^\"\u201d'\u2019`\n]{1,200})[\"\u201d'\u2019`](?!\w)"
_NAME = r"\b([A-Z][\w'-]*(?:\s+(?:of\s+|de\s+|van\s+)?[A-Z][\w'-]*)*)"
_PLACE = r"\b(?:in|at|for|to|from|near|of)\s+(?:the\s+)?((?:[A-Z][\w'-]*)(?:\s+[A-Z][\w'-]*)*)"
_FORMATS = {
    "date": (r"\b(\d{4}-\d\d-\d\d)\b", "1970-01-01"),
    "date-time": (r"\b(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d))", "1970-01-01T00:00:00Z"),
    "email": (r"([\w.+-]+@[\w-]+(?:\.[\w-]+)+)", "demo@example.com"),
    "uri": (r"(https?://[^\s\"'<>)]+)", "https://example.com/"),
}
_NOT_A_NAME = re.compile(
    r"what|who|when|where|why|how|which|is|are|was|were|do|does|did|can|could|will|would|should|the|a|an|i|my|please|"
    r"tell|show|give|find|get|set|add|call|use|make|list|say|in|on|at|and|or|but|if|it|this|that",
    re.IGNORECASE,
)
_A_PLACE = re.compile(r"city|place|location|country|town|address|destination|where")
_WHOLE_TEXT = re.compile(r"query|question|text|prompt|message|input|search|content|answer|summary")

Candidate = tuple[Any, tuple[int, int]]
"""A value, and the part of the text from which it was taken."""
_NOWHERE = (0, 0)


class Filler:
    """Fills one schema. `text` is searched for values; `answer` is used for free text. A part of the text
    that was used for one property is not used for another."""

    def __init__(self, root: Any, text: str, answer: str) -> None:
        self._root = root
        self._text = text
        self._answer = answer
        self._used = [_NOWHERE]
        self._values = 0

    def fill(self) -> Any:
        """Returns a value that matches the schema. Raises Invalid if it is not a JSON schema."""
        return self.found(self._root, "")[0]

    def found(self, schema: Any, name: str) -> tuple[Any, bool]:
        """Returns a value for the property `name`, and whether it is from the text or a default."""
        try:
            return self._value(schema, name, 0)
        except (TypeError, ValueError, AttributeError, KeyError, OverflowError) as error:
            raise Invalid(f"the schema of {name or 'the answer'!r} is not a JSON schema: {error}") from None

    def _value(self, schema: Any, name: str, depth: int) -> tuple[Any, bool]:
        self._values += 1
        if self._values > MAX_VALUES:
            raise Invalid(f"the schema asks for more than {MAX_VALUES} values, or for itself without end.")
        schema = self._resolved(schema, depth)
        kind = _kind(schema)
        if not {"enum", "const"} & schema.keys() and kind in ("object", "array"):
            return self._object(schema, depth) if kind == "object" else self._array(schema, name, depth)
        for value, span in self._candidates(schema, kind, name):
            if not mismatch(schema, value):
                self._used.append(span)
                return value, True
        return _from_bounds(schema, kind, self._answer or self._text), False

    def _candidates(self, schema: dict[str, Any], kind: str, name: str) -> Iterator[Candidate]:
        """Yields values for a property from the text or the schema, best first."""
        spoken = _spoken(name)
        if "const" in schema:
            yield schema["const"], _NOWHERE
        elif schema.get("enum"):
            said = [member for member in schema["enum"] if self._mentions(member)]
            yield from ((member, _NOWHERE) for member in sorted(said, key=lambda member: -len(str(member))))
        elif kind in ("integer", "number"):
            near = (
                rf"\b{spoken}\b\W{{0,3}}(?:is|=|:|of|to|at)?\W{{0,3}}(-?\d+(?:\.\d+)?)",
                rf"(-?\d+(?:\.\d+)?)\s*-?{spoken}\b",
            )
            for pattern in (*(near if name else ()), _NUMBER):
                for text, span in self._found(pattern):
                    yield float(text) if "." in text else int(text), span
        elif kind == "boolean" and name and re.search(rf"\b{spoken}\b", self._text, re.I):
            before = rf"\b(?:no|not|without|never|disable|isn't|don't)\s+(?:\w+\s+)?{spoken}\b"
            denied = rf"{before}|\b{spoken}\b\s*(?:is|=|:)?\s*(?:false|off|no|not)\b"
            yield not re.search(denied, self._text, re.I), _NOWHERE
        elif kind == "null":
            yield None, _NOWHERE
        elif kind == "string":
            yield from self._strings(str(schema.get("format")), name, spoken)
        if "default" in schema:
            yield schema["default"], _NOWHERE

    def _strings(self, form: str, name: str, spoken: str) -> Iterator[Candidate]:
        words = set(_words(name.lower()))
        if form in _FORMATS:
            yield from self._found(_FORMATS[form][0])
            return
        if name:
            said = rf"\b{spoken}\b\s*(?:is|=|:|called|named)\s*[\"']?([^\s,;.?!\"']+(?:\s+[A-Z][\w'-]*)*)"
            yield from self._found(said)
        if words & EXPRESSION_WORDS:
            yield from ((match[0].strip(), match.span()) for match in EXPRESSION.finditer(self._text))
            return
        if any(map(_WHOLE_TEXT.fullmatch, words)) and (whole := self._answer or self._text.strip()):
            yield whole, _NOWHERE
        yield from self._found(_QUOTED)
        places = self._found(_PLACE, 0)
        if any(map(_A_PLACE.fullmatch, words)):
            yield from places
        names = [one for one in self._found(_NAME, 0) if not _NOT_A_NAME.fullmatch(one[0].split()[0])]
        yield from sorted(names, key=lambda one: one in places)

    def _found(self, pattern: str, flags: int = re.IGNORECASE) -> list[Candidate]:
        """Returns the first groups of the matches in unused parts of the text."""
        spans = ((match[1], match.span(1)) for match in re.finditer(pattern, self._text, flags))
        return [(text, (a, b)) for text, (a, b) in spans if not any(c < b and a < d for c, d in self._used)]

    def _mentions(self, value: Any) -> bool:
        if isinstance(value, bool) or value is None:
            return False
        spoken = re.escape(str(value)).replace("_", "[ _-]").replace(r"\-", "[ _-]")
        return re.search(rf"(?<!\w){spoken}(?!\w)", self._text, re.IGNORECASE) is not None

    def _resolved(self, schema: Any, depth: int) -> dict[str, Any]:
        """Returns the schema with local references resolved and one branch of alternatives chosen."""
        for _ in range(MAX_DEPTH):
            if not isinstance(schema, dict):
                return {}
            rest = {key: schema[key] for key in schema.keys() - {"$ref", "allOf", "anyOf", "oneOf"}}
            if isinstance(schema.get("$ref"), str):
                target = self._target(schema["$ref"])
                schema = {**target, **rest} if isinstance(target, dict) else rest
            elif schema.get("allOf"):
                schema = _merged([rest, *(self._resolved(part, depth) for part in schema["allOf"])])
            elif branches := schema.get("anyOf") or schema.get("oneOf"):
                # Deeply nested, null is the branch that ends a recursion.
                wants_null = depth > MAX_DEPTH // 2
                parts = [self._resolved(part, depth) for part in branches]
                chosen = min(parts, key=lambda part: (_kind(part) == "null") is not wants_null)
                schema = {**rest, **chosen}
            else:
                return schema
        return schema if isinstance(schema, dict) else {}

    def _target(self, reference: str) -> Any:
        target = self._root if reference.startswith("#") else {}
        for part in filter(None, reference[1:].split("/")):
            key = part.replace("~1", "/").replace("~0", "~")
            target = target.get(key, {}) if isinstance(target, dict) else {}
        return target

    def _object(self, schema: dict[str, Any], depth: int) -> tuple[Any, bool]:
        properties, extra = schema.get("properties") or {}, schema.get("additionalProperties")
        required = list(schema.get("required") or ())
        value: dict[str, Any] = {}
        any_found = False
        for name in dict.fromkeys((*properties, *required)) if depth <= MAX_DEPTH * 2 else ():
            if name in required or depth <= MAX_DEPTH // 2:
                sub = properties.get(name, extra if isinstance(extra, dict) else {})
                filled, found = self._value(sub, name, depth + 1)
                any_found = any_found or found
                if found or name in required:
                    value[name] = filled
        return value, any_found

    def _array(self, schema: dict[str, Any], name: str, depth: int) -> tuple[Any, bool]:
        least = min(max(int(schema.get("minItems") or 0), 0), MAX_ITEMS)
        most = min(int(schema.get("maxItems", MAX_ITEMS)), MAX_ITEMS)
        items = self._resolved(schema.get("items", {}), depth)
        kind = _kind(items)
        prefix = schema.get("prefixItems") or []
        values = [self._value(part, name, depth + 1)[0] for part in prefix][:most]
        if depth <= MAX_DEPTH and kind not in ("object", "array"):
            listed = [value for value in self._listed(items, kind, name) if not mismatch(items, value)]
            values += list(dict.fromkeys(listed))[: most - len(values)]
        found = bool(values)
        while len(values) < least:
            value = self._value(items, name, depth + 1)[0]
            values.append(_varied(value, len(values)) if value in values else value)
        return values, found

    def _listed(self, items: dict[str, Any], kind: str, name: str) -> Iterable[Any]:
        """Returns the values of the text that could be elements of an array."""
        said = re.search(rf"\b{_spoken(name)}\b\s*(?:is|are|=|:)\s*([^.\n?!]+)", self._text, re.IGNORECASE)
        if name and said and kind == "string" and not items.get("enum"):
            return [part.strip() for part in re.split(r"\s*(?:,|;|\band\b)\s*", said[1]) if part.strip()]
        return [value for value, _ in self._candidates({**items, "default": None}, kind, "")]


def _kind(schema: dict[str, Any]) -> str:
    said = schema.get("type")
    if isinstance(said, list):
        said = next((one for one in said if one != "null"), "null")
    if isinstance(said, str):
        return said
    if "properties" in schema or "required" in schema:
        return "object"
    return "array" if "items" in schema or "prefixItems" in schema else "string"


def _merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in parts:
        properties = {**merged.get("properties", {}), **part.get("properties", {})}
        required = [*merged.get("required", ()), *part.get("required", ())]
        merged = {**part, **merged} | {
            k: v for k, v in (("properties", properties), ("required", required)) if v
        }
    return merged


def _from_bounds(schema: dict[str, Any], kind: str, text: str) -> Any:
    """Returns a value determined only by the schema's keywords, for a property that the text does not
    mention."""
    if schema.get("enum"):
        return schema["enum"][0]
    if kind in ("integer", "number"):
        return _nearest_number(schema, kind == "integer")
    if kind in ("boolean", "null"):
        return False if kind == "boolean" else None
    if str(schema.get("format")) in _FORMATS:
        return _FORMATS[schema["format"]][1]
    text = text[: schema["maxLength"]] if isinstance(schema.get("maxLength"), int) else text
    return text + "." * (min(int(schema.get("minLength") or 0), 100_000) - len(text))


def _nearest_number(schema: dict[str, Any], whole: bool) -> int | float:
    """Returns the number nearest to 0 within the bounds."""
    step = schema.get("multipleOf") or (1 if whole else 0)
    margin = step or 1e-6
    least = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf) + margin)
    most = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf) - margin)
    number = min(max(0, least), most)
    if step:
        number = (math.ceil(number / step) if number >= 0 else math.floor(number / step)) * step
    return int(number) if float(number).is_integer() else number


def _varied(value: Any, number: int) -> Any:
    """Returns a value different from `value`, for arrays whose elements must differ."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + number
    return f"{value} {number}" if isinstance(value, str) else value


def _words(name: str) -> list[str]:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|[_-]", " ", name).split()


def _spoken(name: str) -> str:
    """Returns a pattern for the spoken form of a property's name: max_days matches max days, maxDays and max
    day."""
    spoken = "[ _-]?".join(map(re.escape, _words(name)))
    return f"{spoken[:-1]}s?" if spoken.endswith("s") and len(spoken) > 3 else spoken
