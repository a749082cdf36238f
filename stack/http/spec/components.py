"""JSON schemas of the wire types, in the form of the contract.

Requests are decoded into the Structs of `schemas/api`, so the schemas are generated from them and cannot
differ from what is served. What a Struct cannot express (a documented default, a format), or where it is
wider than the contract (fields accepted for older clients), is specified by `Details`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from msgspec import inspect as types

Schema = dict[str, Any]

PREFIX = "#/components/schemas/"

# The contract lists the possible types of a free-form value.
ANY_VALUE: Schema = {
    "oneOf": [{"type": kind} for kind in ("null", "boolean", "number", "string", "array", "object")]
}
ANY_OBJECT: Schema = {"type": "object", "additionalProperties": ANY_VALUE}

MOMENTS = frozenset(("created_at", "scheduled_at", "started_at", "completed_at"))


class Details(Struct, frozen=True, kw_only=True):
    """Specifies a type in addition to its Struct.

    `hidden` fields are accepted but not shown; `required` and `optional` override the Struct's defaults;
    `schemas` replaces a field's schema (or adds a field), `notes` adds keys to it; `tags` are all values of
    the tag field; `inline` places the schema where it is used instead of under a name; an `open` type may
    have additional fields.
    """

    hidden: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    schemas: Mapping[str, Schema] = {}
    notes: Mapping[str, Schema] = {}
    tags: tuple[str, ...] = ()
    inline: bool = False
    open: bool = False


class Components:
    """Collects the schemas of all used types by name.

    `named` assigns names to unions and literals, and a schema if it differs from the generated one. `plain`
    are unions without a discriminator.
    """

    def __init__(
        self,
        details: Mapping[type, Details],
        named: Iterable[tuple[str, Any, Schema | None]] = (),
        plain: Iterable[Any] = (),
    ) -> None:
        self.schemas: dict[str, Schema] = {}
        self._details = details
        self._named = {_key(types.type_info(kind)): (name, schema) for name, kind, schema in named}
        self._plain = {_key(types.type_info(kind)) for kind in plain}
        self._parts = {name: types.type_info(kind) for name, kind, schema in named}

    def of(self, kind: Any) -> Schema:
        """Returns the schema of a type; for a named type a reference to it."""
        return self._of(types.type_info(kind))

    def _of(self, info: types.Type) -> Schema:
        name, schema = self._named.get(_key(info), ("", None))
        if name:
            if name not in self.schemas:
                self.schemas[name] = {}
                self.schemas[name] = self._custom(schema) if schema else self._made(self._parts[name])
            return {"$ref": PREFIX + name}
        return self._made(info)

    def _custom(self, schema: Schema) -> Schema:
        """Returns a given schema, and collects the names to which it refers."""
        for name in _references(schema):
            if name in self._parts and name not in self.schemas:
                self._of(self._parts[name])
        return schema

    def _made(self, info: types.Type) -> Schema:
        match info:
            case types.StructType():
                return self._struct(info)
            case types.UnionType():
                return self._union(info)
            case types.ListType(item_type=item):
                return {"type": "array", "items": self._of(item)}
            case types.DictType(value_type=types.AnyType()):
                return ANY_OBJECT
            case types.DictType(value_type=value):
                return {"type": "object", "additionalProperties": self._of(value)}
            case types.LiteralType(values=values):
                return {"type": "string", "enum": list(values)}
            case types.StrType():
                return {"type": "string"}
            case types.IntType():
                return {"type": "integer"}
            case types.FloatType():
                return {"type": "number"}
            case types.BoolType():
                return {"type": "boolean"}
            case types.AnyType() | types.RawType():
                return ANY_VALUE
        raise TypeError(f"{info} has no schema here")

    def _union(self, info: types.UnionType) -> Schema:
        parts = _parts(info)
        if len(parts) == 1:
            return self._of(parts[0])
        schemas = [self._of(part) for part in parts]
        union: Schema = {"oneOf": schemas}
        tagged = [part for part in parts if isinstance(part, types.StructType) and part.tag_field]
        if len(tagged) == len(parts) and _key(info) not in self._plain:
            mapping = {part.tag: one["$ref"] for part, one in zip(tagged, schemas, strict=True)}
            union["discriminator"] = {"propertyName": tagged[0].tag_field, "mapping": mapping}
        return union

    def _struct(self, info: types.StructType) -> Schema:
        details = self._details.get(info.cls, Details())
        if details.inline:
            return self._object(info, details)
        name = info.cls.__name__
        if name not in self.schemas:
            self.schemas[name] = {}
            self.schemas[name] = {"title": name} | self._object(info, details)
        return {"$ref": PREFIX + name}

    def _object(self, info: types.StructType, details: Details) -> Schema:
        properties: dict[str, Schema] = {}
        required: list[str] = []
        if info.tag_field:
            tag: Schema = {"type": "string", "const": info.tag, "default": info.tag}
            given = details.schemas.get(info.tag_field)
            tag |= {"enum": list(details.tags)} if details.tags else {}
            properties[info.tag_field] = self._custom(given) if given else tag
            required.append(info.tag_field)
        for field in info.fields:
            name = field.encode_name
            if name in details.hidden:
                continue
            given = details.schemas.get(name)
            schema = self._custom(given) if given else self._of(field.type)
            if name in MOMENTS:
                schema = {"type": "string", "format": "date-time"}
            properties[name] = schema | details.notes.get(name, {})
            if (field.required or name in details.required) and name not in details.optional:
                required.append(name)
        for name, schema in details.schemas.items():
            properties.setdefault(name, self._custom(schema))
        made: Schema = {"type": "object", "properties": properties, "additionalProperties": details.open}
        text = _documented(info.cls)
        if text:
            made["description"] = text
        if required:
            made["required"] = required
        return made


def _parts(info: types.UnionType) -> list[types.Type]:
    return [part for part in info.types if not isinstance(part, types.NoneType)]


def _key(info: types.Type) -> Any:
    """Returns the same key for the same type, whether or not it may be null."""
    match info:
        case types.StructType(cls=cls):
            return cls
        case types.UnionType():
            keys = [_key(part) for part in _parts(info)]
            return keys[0] if len(keys) == 1 else frozenset(keys)
        case types.ListType(item_type=item):
            return "list", _key(item)
        case types.LiteralType(values=values):
            return "literal", tuple(values)
    return type(info).__name__


def _references(schema: Any) -> set[str]:
    if isinstance(schema, dict):
        own = {schema["$ref"].removeprefix(PREFIX)} if "$ref" in schema else set()
        return own.union(*(_references(value) for value in schema.values()))
    if isinstance(schema, list):
        return set().union(*(_references(value) for value in schema))
    return set()


def _documented(cls: type) -> str:
    """Returns the first paragraph of a Struct's own docstring, on one line."""
    text = inspect.cleandoc(cls.__dict__.get("__doc__") or "")
    return " ".join(text.partition("\n\n")[0].split())


def plain_default(value: Any) -> Schema:
    """Returns a schema note that documents the default of a field."""
    return {"default": msgspec.to_builtins(value)}
