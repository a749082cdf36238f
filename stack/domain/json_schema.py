"""JSON Schema: whether a schema is one, and whether a value fits it. Never fetches a `$ref` from anywhere."""

from __future__ import annotations

from typing import Any

import jsonschema_rs

from stack.errors import Invalid

# Linear-time regular expressions: a schema's patterns come from callers.
_PATTERNS = jsonschema_rs.RegexOptions()
_REFUSALS = (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError, RecursionError)


class RemoteReference(ValueError):
    """A schema refers to a document elsewhere."""


def _refused(uri: str) -> Any:
    raise RemoteReference(f"{uri[:200]} lies outside of the schema")


# Without it an unknown `$schema` is fetched: 30 s on a server that does not answer.
_NO_OTHERS = jsonschema_rs.Registry([], retriever=_refused)


def check_schema(schema: dict[str, Any], where: str) -> None:
    """Raises Invalid for what is no JSON Schema, or refers to another document."""
    try:
        _validator(schema)
        jsonschema_rs.meta.validate(schema, registry=_NO_OTHERS)
    except _REFUSALS as error:
        raise Invalid(f"{where} is not a usable JSON Schema: {_first_line(error)}.") from None


def mismatch(schema: dict[str, Any], value: Any) -> str:
    """Where and why a value does not fit the schema, empty when it does."""
    try:
        for error in _validator(schema).iter_errors(value):
            path = "".join(f"[{part!r}]" for part in error.instance_path)
            return f"{path or 'the value'}: {_first_line(error)}"
    except _REFUSALS as error:
        return _first_line(error)
    return ""


def _validator(schema: dict[str, Any]) -> Any:
    return jsonschema_rs.validator_for(schema, retriever=_refused, pattern_options=_PATTERNS)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300].rstrip(".")
