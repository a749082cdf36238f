"""JSON that fits a schema, filled from a text where the text has something to say. Deterministic.

Follows type, enum, const, default, properties, required, items, prefixItems, minItems, maxItems, minimum, maximum
(and their exclusive forms), multipleOf, minLength, maxLength, format, anyOf, oneOf, allOf, and local $ref.
`pattern` is not followed: running a stranger's expression is not worth what a demo would gain.
"""

from __future__ import annotations

import math
import re
from typing import Any

from stack.errors import Invalid

MAX_DEPTH = 12
MAX_ITEMS = 100
MAX_VALUES = 10_000
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w]|\.\d)")
_QUOTED = re.compile(r"[\"\u201c'\u2018`]([^\"\u201d'\u2019`\n]{1,200})[\"\u201d'\u2019`](?!\w)")
_NAME = re.compile(r"\b[A-Z][\w'-]*(?:\s+(?:of\s+|de\s+|van\s+)?[A-Z][\w'-]*)*")
_PLACE = re.compile(r"\b(?:in|at|for|to|from|near|of)\s+(?:the\s+)?((?:[A-Z][\w'-]*)(?:\s+[A-Z][\w'-]*)*)")
EXPRESSION_WORDS = frozenset(("expression", "formula", "calculation", "equation"))
EXPRESSION = re.compile(
    r"[-(]{0,8}\d[\d.]{0,30}(?:\s{0,4}[-+*/^%x\u00d7]\s{0,4}[-(]{0,8}\d[\d.]{0,30}\){0,8})+"
)
_FORMATS = {
    "date": (re.compile(r"\b\d{4}-\d\d-\d\d\b"), "1970-01-01"),
    "date-time": (
        re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"),
        "1970-01-01T00:00:00Z",
    ),
    "time": (re.compile(r"\b\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)"), "00:00:00Z"),
    "email": (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "nobody@example.com"),
    "uri": (re.compile(r"https?://[^\s\"'<>)]+"), "https://example.com/"),
    "url": (re.compile(r"https?://[^\s\"'<>)]+"), "https://example.com/"),
    "uuid": (
        re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"),
        "0" * 8 + "-0000" * 3 + "-" + "0" * 12,
    ),
}
_NOT_NAMES_TEXT = """
    what who when where why how which is are was were do does did can could will would should the a an i my
    please tell show give find get set add call use make list say in on at and or but if it this that
"""
_NOT_NAMES = frozenset(_NOT_NAMES_TEXT.split())
_PLACES = frozenset(
    ("city", "place", "location", "country", "town", "region", "address", "destination", "origin", "where")
)
_WHOLE_TEXT = frozenset(
    (
        "query",
        "question",
        "text",
        "prompt",
        "message",
        "input",
        "search",
        "sentence",
        "content",
        "answer",
        "summary",
        "request",
        "term",
    )
)


class Filler:
    """Fills one schema. `text` is searched for values; `answer` stands in for free text. A number or a name that
    was used for one property is not used for the next."""

    def __init__(self, root: Any, text: str, answer: str) -> None:
        self._root = root
        self._text = text
        self._answer = answer
        self._used: set[tuple[int, int]] = set()
        self._values = 0

    def fill(self) -> Any:
        """A value that fits the schema. Raises Invalid for what is no schema."""
        return self.found(self._root, "")[0]

    def found(self, schema: Any, name: str) -> tuple[Any, bool]:
        """A value for the property `name`, and whether the text gave it (or a default did)."""
        try:
            return self._value(schema, name, True, 0)
        except (TypeError, ValueError, AttributeError, KeyError, OverflowError) as error:
            raise Invalid(f"the schema of {name or 'the answer'!r} is no JSON schema: {error}") from None

    def _value(self, schema: Any, name: str, required: bool, depth: int) -> tuple[Any, bool]:
        self._values += 1
        if self._values > MAX_VALUES:
            raise Invalid(f"the schema asks for more than {MAX_VALUES} values, or for itself without end.")
        schema = self._resolved(schema, depth)
        if "const" in schema:
            return schema["const"], True
        if schema.get("enum"):
            return self._enum(schema, name)
        kind = _kind(schema)
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, name, depth)
            case "integer" | "number":
                return self._number(schema, name, kind == "integer")
            case "boolean":
                return self._boolean(schema, name)
            case "null":
                return None, True
        return self._string(schema, name)

    def _resolved(self, schema: Any, depth: int) -> dict[str, Any]:
        """The schema with local references followed and one branch of alternatives chosen."""
        for _ in range(MAX_DEPTH):
            if not isinstance(schema, dict):
                return {}
            if isinstance(schema.get("$ref"), str):
                rest = {key: value for key, value in schema.items() if key != "$ref"}
                target = self._target(schema["$ref"])
                schema = {**target, **rest} if isinstance(target, dict) else rest
            elif schema.get("allOf"):
                schema = _merged(schema, [self._resolved(part, depth) for part in schema["allOf"]])
            elif schema.get("anyOf") or schema.get("oneOf"):
                rest = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf")}
                parts = [self._resolved(part, depth) for part in schema.get("anyOf") or schema["oneOf"]]
                chosen = [part for part in parts if _kind(part) != "null"] or parts
                # Deep down the shortest way out is the one that ends a recursion.
                nulls = [part for part in parts if _kind(part) == "null"]
                schema = {**rest, **(nulls[0] if nulls and depth > MAX_DEPTH // 2 else chosen[0])}
            else:
                return schema
        return schema if isinstance(schema, dict) else {}

    def _target(self, reference: str) -> Any:
        if not reference.startswith("#"):
            return {}
        target = self._root
        for part in filter(None, reference[1:].split("/")):
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(target, list) and key.isdecimal() and int(key) < len(target):
                target = target[int(key)]
            else:
                target = target.get(key, {}) if isinstance(target, dict) else {}
        return target

    def _object(self, schema: dict[str, Any], depth: int) -> tuple[Any, bool]:
        properties = schema.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        required = [name for name in schema.get("required") or () if isinstance(name, str)]
        value: dict[str, Any] = {}
        any_found = False
        if depth > MAX_DEPTH * 2:
            return value, False
        for name, sub in properties.items():
            if name not in required and depth > MAX_DEPTH // 2:
                continue
            filled, found = self._value(sub, name, name in required, depth + 1)
            if found or name in required:
                value[name] = filled
            any_found = any_found or found
        for name in required:
            if name not in value:
                extra = schema.get("additionalProperties")
                value[name] = self._value(extra if isinstance(extra, dict) else {}, name, True, depth + 1)[0]
        return value, any_found

    def _array(self, schema: dict[str, Any], name: str, depth: int) -> tuple[Any, bool]:
        least = min(max(int(schema.get("minItems") or 0), 0), MAX_ITEMS)
        most = min(int(schema.get("maxItems", MAX_ITEMS)), MAX_ITEMS)
        prefix = schema.get("prefixItems") or []
        items = self._resolved(schema.get("items", {}), depth)
        values = [self._value(part, name, True, depth + 1)[0] for part in prefix][:most]
        found = bool(values)
        if depth <= MAX_DEPTH:
            for value in self._listed(items, name, least):
                if len(values) < most:
                    values.append(value)
                    found = True
        while len(values) < least:
            value = self._value(items, name, True, depth + 1)[0]
            if schema.get("uniqueItems") and value in values:
                value = _varied(value, len(values), items)
            values.append(value)
        return values, found

    def _listed(self, items: dict[str, Any], name: str, least: int) -> list[Any]:
        """The values of the text that could be the elements of an array; words of it, where some must be."""
        if items.get("enum"):
            return [value for value in items["enum"] if self._mentioned(value)]
        kind = _kind(items)
        if kind in ("integer", "number"):
            numbers = [_bounded(float(match[0]), items, kind == "integer") for match in self._free(_NUMBER)]
            return list(dict.fromkeys(numbers))
        if kind != "string":
            return []
        said = re.search(rf"\b{_spoken(name)}\b\s*(?:is|are|=|:)\s*([^.\n?!]+)", self._text, re.IGNORECASE)
        if said and name:
            parts = re.split(r"\s*(?:,|;|\band\b)\s*", said[1])
        else:
            parts = [match[1] for match in _QUOTED.finditer(self._text)]
            parts = parts or [match[0] for match in self._names()]
            if len(parts) < least:
                parts += re.findall(r"\b[^\W\d_]{5,40}\b", self._text)[:least]
        return list(dict.fromkeys(_fitted(part.strip(), items) for part in parts if part.strip()))

    def _enum(self, schema: dict[str, Any], name: str) -> tuple[Any, bool]:
        members = schema["enum"]
        mentioned = sorted((m for m in members if self._mentioned(m)), key=lambda m: -len(str(m)))
        if mentioned:
            return mentioned[0], True
        if schema.get("default") in members and "default" in schema:
            return schema["default"], True
        return members[0], False

    def _mentioned(self, value: Any) -> bool:
        if isinstance(value, bool) or value is None:
            return False
        spoken = re.escape(str(value)).replace("_", "[ _-]").replace(r"\-", "[ _-]")
        return re.search(rf"(?<!\w){spoken}(?!\w)", self._text, re.IGNORECASE) is not None

    def _number(self, schema: dict[str, Any], name: str, whole: bool) -> tuple[Any, bool]:
        found = None
        spoken = _spoken(name)
        if name:
            near = re.search(
                rf"\b{spoken}\b\W{{0,3}}(?:is|=|:|of|to|at)?\W{{0,3}}(-?\d+(?:\.\d+)?)",
                self._text,
                re.IGNORECASE,
            ) or re.search(rf"(-?\d+(?:\.\d+)?)\s*-?{spoken}\b", self._text, re.IGNORECASE)
            if near:
                self._used.add(near.span(1))
                found = near[1]
        if found is None:
            match = next(iter(self._free(_NUMBER)), None)
            if match is not None and (not whole or "." not in match[0]):
                self._used.add(match.span())
                found = match[0]
        if found is None and isinstance(schema.get("default"), int | float):
            return schema["default"], True
        return _bounded(float(found or 0), schema, whole), found is not None

    def _boolean(self, schema: dict[str, Any], name: str) -> tuple[Any, bool]:
        spoken = _spoken(name)
        if name and re.search(
            rf"\b(?:no|not|without|never|disable|isn't|is not|don't)\s+(?:\w+\s+)?{spoken}\b"
            rf"|\b{spoken}\b\s*(?:is|=|:)?\s*(?:false|off|no|not|disabled)\b",
            self._text,
            re.IGNORECASE,
        ):
            return False, True
        if name and re.search(rf"\b{spoken}\b", self._text, re.IGNORECASE):
            return True, True
        if isinstance(schema.get("default"), bool):
            return schema["default"], True
        return False, False

    def _string(self, schema: dict[str, Any], name: str) -> tuple[Any, bool]:
        form = _FORMATS.get(str(schema.get("format")))
        if form:
            match = next(iter(self._free(form[0])), None)
            if match:
                self._used.add(match.span())
                return match[0], True
            return schema.get("default", form[1]), "default" in schema
        value = self._text_value(name, str(schema.get("description") or ""))
        if value is None and isinstance(schema.get("default"), str):
            return schema["default"], True
        found = value is not None
        return _fitted(value if value is not None else self._answer or self._text, schema), found

    def _text_value(self, name: str, description: str) -> str | None:
        text = self._text
        words = set(_spoken(name).replace("[ _-]?", " ").lower().split())
        if name:
            said = re.search(
                rf"\b{_spoken(name)}\b\s*(?:is|=|:|called|named)\s*(?:\"([^\"\n]+)\"|'([^'\n]+)'|([^\s,;.?!]+(?:\s+[A-Z][\w'-]*)*))",
                text,
                re.IGNORECASE,
            )
            if said:
                return said[1] or said[2] or said[3]
        if words & EXPRESSION_WORDS:
            match = EXPRESSION.search(text)
            return match[0].strip() if match else None
        if words & _WHOLE_TEXT:
            return self._answer or text.strip() or None
        for match in self._free(_QUOTED, 1):
            return self._use(match, 1)
        places = self._free(_PLACE, 1)
        if words & _PLACES and places:
            return self._use(places[0], 1)
        of_places = {match.span(1) for match in places}
        for match in sorted(self._names(), key=lambda match: match.span() in of_places):
            return self._use(match, 0)
        return None

    def _use(self, match: re.Match[str], group: int) -> str:
        self._used.add(match.span(group))
        return match[group]

    def _names(self) -> list[re.Match[str]]:
        """Capitalised words that are not merely the first word of a sentence."""
        return [match for match in self._free(_NAME) if match[0].split()[0].lower() not in _NOT_NAMES]

    def _free(self, pattern: re.Pattern[str], group: int = 0) -> list[re.Match[str]]:
        """The matches that no property has used yet."""
        return [
            match
            for match in pattern.finditer(self._text)
            if not any(a < match.end(group) and match.start(group) < b for a, b in self._used)
        ]


def _kind(schema: dict[str, Any]) -> str:
    said = schema.get("type")
    if isinstance(said, list):
        said = next((one for one in said if one != "null"), "null")
    if isinstance(said, str):
        return said
    if "properties" in schema or "required" in schema:
        return "object"
    if "items" in schema or "prefixItems" in schema:
        return "array"
    return "string"


def _merged(schema: dict[str, Any], parts: list[dict[str, Any]]) -> dict[str, Any]:
    merged = {key: value for key, value in schema.items() if key != "allOf"}
    for part in parts:
        for key, value in part.items():
            if key == "properties":
                merged[key] = {**merged.get(key, {}), **value}
            elif key == "required":
                merged[key] = list(dict.fromkeys([*merged.get(key, []), *value]))
            else:
                merged.setdefault(key, value)
    return merged


def _bounded(number: float, schema: dict[str, Any], whole: bool) -> int | float:
    """The nearest number that the schema allows."""
    step = 1.0 if whole else 0.0
    least, most = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    for key, sign in (("exclusiveMinimum", 1), ("exclusiveMaximum", -1)):
        bound = schema.get(key)
        if isinstance(bound, int | float) and not isinstance(bound, bool):
            inside = bound + sign * (step or max(abs(bound), 1.0) * 1e-6)
            least, most = (max(least, inside), most) if sign > 0 else (least, min(most, inside))
    multiple = schema.get("multipleOf")
    number = min(max(number, least), most)
    if isinstance(multiple, int | float) and multiple > 0:
        number = round(number / multiple) * multiple
        if number < least:
            number = math.ceil(least / multiple) * multiple
        if number > most:
            number = math.floor(most / multiple) * multiple
    if whole:
        rounded = round(number)
        return math.ceil(least) if rounded < least else math.floor(most) if rounded > most else rounded
    return int(number) if float(number).is_integer() and abs(number) < 2**53 else number


def _fitted(text: str, schema: dict[str, Any]) -> str:
    """`text` at a length that the schema allows."""
    least, most = int(schema.get("minLength") or 0), schema.get("maxLength")
    if isinstance(most, int):
        text = text[:most]
    return text + "." * (min(least, 100_000) - len(text))


def _varied(value: Any, number: int, schema: dict[str, Any]) -> Any:
    """Another value than `value`, for arrays whose elements must differ."""
    if schema.get("enum"):
        return schema["enum"][number % len(schema["enum"])]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + number
    return f"{value} {number}" if isinstance(value, str) else value


def _spoken(name: str) -> str:
    """A property's name as an expression that matches how it is spoken: max_days, max days, maxDays, max day."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ").replace("-", " ").split()
    spoken = "[ _-]?".join(re.escape(word) for word in words)
    return f"{spoken[:-1]}s?" if spoken.endswith("s") and len(spoken) > 3 else spoken
