"""The types of the page (`stack/page/src/wire.ts`), made from the OpenAPI document.

python -m tests.page.wire_types
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from stack.http.spec.document import as_json

FILE = Path(__file__).parents[2] / "stack/page/src/wire.ts"
HEAD = "// The schemas of the API. Written by `python -m tests.page.wire_types`; do not change it by hand.\n"
_NAME = re.compile(r"^[A-Za-z_$][A-Za-z0-9_$]*$")
_PLAIN = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


def wire_types() -> str:
    """Returns the content of the file."""
    schemas = json.loads(as_json())["components"]["schemas"]
    return HEAD + "".join(
        f"\nexport type {_named(name)} = {_type(schema)};\n" for name, schema in sorted(schemas.items())
    )


def _named(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]", "_", name)


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return _named(schema["$ref"].rpartition("/")[2])
    if "enum" in schema:
        return " | ".join(json.dumps(one, ensure_ascii=False) for one in schema["enum"])
    if "const" in schema:
        return json.dumps(schema["const"], ensure_ascii=False)
    for union in ("oneOf", "anyOf"):
        if union in schema:
            return " | ".join(dict.fromkeys(_type(one) for one in schema[union]))
    if "allOf" in schema:
        return " & ".join(_type(one) for one in schema["allOf"])
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(_type(schema | {"type": one}) for one in kind)
    if kind == "array":
        return f"Array<{_type(schema['items'])}>" if "items" in schema else "unknown[]"
    if kind == "object" or "properties" in schema:
        return _object(schema)
    return _PLAIN.get(str(kind), "unknown")


def _object(schema: dict[str, Any]) -> str:
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if not properties:
        extra = schema.get("additionalProperties")
        return f"Record<string, {_type(extra) if isinstance(extra, dict) and extra else 'unknown'}>"
    fields = (
        f"  {name if _NAME.match(name) else json.dumps(name)}{'' if name in required else '?'}: {_type(one)};\n"
        for name, one in properties.items()
    )
    return "{\n" + "".join(fields) + "}"


if __name__ == "__main__":
    FILE.write_text(wire_types(), "utf-8")
