"""Definitions of tools in other formats, as tools of the client."""

from __future__ import annotations

from schemas.events.payload import ToolDef
from stack.domain.json_schema import check_schema
from stack.domain.tool import MAX_TOOLS
from stack.errors import Invalid
from stack.services.replay.formats.fields import Fields


def tool_definitions(fields: Fields, name: str) -> list[ToolDef]:
    """Returns the tools of a list of definitions: OpenAI's form, or with `name` and `parameters`, `inputSchema` or
    `input_schema` themselves. A schema that cannot be used is kept, and the tool has none."""
    found: dict[str, ToolDef] = {}
    for given in fields.objects(name):
        given.skip("type")
        one = given.object("function") or given
        tool = one.text("name")
        if not tool.strip() or tool in found or len(found) >= MAX_TOOLS:
            fields.kept.keep(one.place, {"name": tool})
            continue
        schema_field = next(
            (field for field in ("parameters", "input_schema", "inputSchema") if field in one), ""
        )
        schema = one.any(schema_field) if schema_field else None
        if schema is not None:
            try:
                if not isinstance(schema, dict) or schema.get("type", "object") != "object":
                    raise Invalid("The arguments of a tool are an object.")
                check_schema(schema, one.place)
            except Invalid:
                fields.kept.keep(f"{one.place}.{schema_field}", schema)
                schema = None
        found[tool] = ToolDef(name=tool, description=one.text("description") or None, input_schema=schema)
        one.keep_rest()
    return list(found.values())
