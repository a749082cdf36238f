"""Tools that the client runs: validates their definitions and converts them to one form."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import msgspec

from schemas.api.agent import ToolConfig as RequestedToolConfig
from schemas.api.agent import ToolDef
from schemas.events.payload import AgentConfig, ToolConfig
from stack.domain.json_schema import check_schema
from stack.errors import Invalid

MAX_TOOLS = 1_024
MAX_TOOLS_BYTES = 2**20

# Older clients use Python's names for the types of parameters.
JSON_TYPES = {
    "str": "string",
    "bool": "boolean",
    "int": "integer",
    "float": "number",
    "list": "array",
    "dict": "object",
}
# JSON Schema keywords whose value is a schema or a list of schemas, and those whose value maps names to
# schemas.
_SCHEMAS = frozenset(
    [
        "items",
        "prefixItems",
        "additionalItems",
        "contains",
        "unevaluatedItems",
        "additionalProperties",
        "propertyNames",
        "unevaluatedProperties",
        "anyOf",
        "oneOf",
        "allOf",
        "not",
        "if",
        "then",
        "else",
    ]
)
_NAMED_SCHEMAS = frozenset(("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"))
PARAMETER_FIELDS = {"name", "parameter_type", "description", "required", "default", "items", "title"}


def normalise_tools(tools: list[ToolDef] | None, where: str) -> list[ToolDef] | None:
    """Returns the definitions with `input_schema` (converted from the older `parameters`). Raises Invalid."""
    if not tools:
        return tools
    if len(tools) > MAX_TOOLS:
        raise Invalid(f"{where} has {len(tools)} tools; at most {MAX_TOOLS} are allowed.")
    size = len(msgspec.json.encode(tools))
    if size > MAX_TOOLS_BYTES:
        raise Invalid(f"{where} takes {size} bytes; at most {MAX_TOOLS_BYTES} are allowed.")
    seen: set[str] = set()
    normal = []
    for index, tool in enumerate(tools):
        place = f"{where}[{index}]"
        if not tool.name.strip():
            raise Invalid(f"{place}.name is empty.")
        if tool.name in seen:
            raise Invalid(f"{place}.name is {tool.name!r} for the second time; names must differ.")
        seen.add(tool.name)
        normal.append(_normal(tool, place))
    return normal


def _normal(tool: ToolDef, where: str) -> ToolDef:
    schema = tool.input_schema
    if schema is None and tool.parameters is not None:
        schema = _schema_of(tool.parameters, f"{where}.parameters")
    if schema is not None:
        check_schema(schema, f"{where}.input_schema")
        if schema.get("type", "object") != "object":
            raise Invalid(f"{where}.input_schema.type is {schema['type']!r}; arguments are an object.")
    if tool.output_schema is not None:
        check_schema(tool.output_schema, f"{where}.output_schema")
    return msgspec.structs.replace(tool, input_schema=schema, parameters=None)


def _schema_of(parameters: list[dict[str, Any]], where: str) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required = []
    for index, parameter in enumerate(parameters):
        place = f"{where}[{index}]"
        name = parameter.get("name")
        if not isinstance(name, str) or not name:
            raise Invalid(f"{place}.name is missing; each parameter has a name.")
        if name in properties:
            raise Invalid(f"{place}.name is {name!r} for the second time; names must differ.")
        unknown = sorted(set(parameter) - PARAMETER_FIELDS)
        if unknown:
            raise Invalid(f"{place}.{unknown[0]} is not a known field; leave it out.")
        given = parameter.get("parameter_type", "string")
        if not isinstance(given, str):
            raise Invalid(f"{place}.parameter_type is {given!r}; it must be a type's name.")
        schema: dict[str, Any] = {"type": JSON_TYPES.get(given, given)}
        for field in ("description", "default", "items", "title"):
            if parameter.get(field) is not None:
                schema[field] = parameter[field]
        properties[name] = schema
        if parameter.get("required", True) and parameter.get("default") is None:
            required.append(name)
    return {"type": "object", "properties": properties, "required": required}


def strict_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Returns the schema of a tool's arguments in the form that strict model servers require: an object with
    `properties`, and every array with `items`. The additions accept any value, so the meaning does not
    change."""
    if all("items" in one for one in _arrays(schema)):
        return {"type": "object", "properties": {}} | schema
    own: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(schema))
    for one in _arrays(own):
        one.setdefault("items", {})
    return {"type": "object", "properties": {}} | own


def _arrays(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields the schemas of arrays in a schema, at any depth."""
    waiting: list[Any] = [schema]
    while waiting:
        one = waiting.pop()
        if not isinstance(one, dict):
            continue
        given = one.get("type")
        if given == "array" or (isinstance(given, list) and "array" in given):
            yield one
        for keyword, value in one.items():
            if keyword in _SCHEMAS and isinstance(value, list):
                waiting += value
            elif keyword in _SCHEMAS:
                waiting.append(value)
            elif keyword in _NAMED_SCHEMAS and isinstance(value, dict):
                waiting += value.values()


def tool_config(agent: AgentConfig, turn: ToolConfig | None) -> ToolConfig:
    """Returns how a turn uses tools: the turn's configuration, otherwise the agent's, whose `tool_choice` may
    be given separately from its `tool_config`."""
    if turn is not None:
        return turn
    config = agent.tool_config or ToolConfig()
    return config if config.tool_choice else msgspec.structs.replace(config, tool_choice=agent.tool_choice)


def check_tool_config(config: RequestedToolConfig | None, names: Collection[str] | None, where: str) -> None:
    """Raises Invalid if a single tool is chosen that the agent does not have. `names` is None if they are not known
    yet."""
    if config is not None and names is not None:
        check_tool_choice(config.tool_choice, names, where)


def check_tool_choice(choice: str | None, names: Collection[str], where: str) -> None:
    """Raises Invalid if a single tool is chosen that does not exist."""
    if choice is not None and choice not in ("auto", "required", "none") and choice not in names:
        known = ", ".join(sorted(names)[:20]) or "none"
        raise Invalid(
            f"{where}.tool_choice is {choice!r}; it must be auto, required, none or a tool's name ({known})."
        )
