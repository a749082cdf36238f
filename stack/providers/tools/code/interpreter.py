"""`builtin::code_interpreter`: executes code of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from stack.errors import Invalid
from stack.providers.tools.code.monty_engine import MontyEngine
from stack.providers.tools.code.task import Limits
from stack.providers.tools.port import Suspended, ToolDefinition, ToolRequest, ToolResult
from stack.providers.tools.settings import ToolGroupSettings

ID = "builtin::code_interpreter"
TOOL = "code_interpreter"


class Engine(Protocol):
    """Executes code. `description` tells the model what it may write."""

    description: str

    async def execute(self, code: str, request: ToolRequest) -> ToolResult | Suspended: ...

    async def aclose(self) -> None: ...


class CodeInterpreter:
    """The code has no effects of its own: its tool may be called again."""

    provider_id = "code-interpreter"

    def __init__(self, settings: ToolGroupSettings) -> None:
        self.id = settings.id
        self._limits = Limits()
        self._engine: Engine = MontyEngine(self._limits)

    async def tools(self, args: Mapping[str, Any]) -> Sequence[ToolDefinition]:
        if args:
            raise Invalid(f"{self.id} takes no args; remove {', '.join(map(repr, sorted(args)))[:200]}.")
        schema = {
            "type": "object",
            "properties": {"code": {"type": "string", "description": "The Python code to execute."}},
            "required": ["code"],
            "additionalProperties": False,
        }
        return [
            ToolDefinition(
                name=TOOL, description=self._engine.description, input_schema=schema, repeatable=True
            )
        ]

    async def call(self, request: ToolRequest) -> ToolResult | Suspended:
        code = request.arguments.get("code")
        if request.tool != TOOL or not isinstance(code, str):
            return _refused(f"the tool is {TOOL!r}, and its argument `code` is a string.")
        if len(code) > self._limits.code_bytes or len(code.encode()) > self._limits.code_bytes:
            return _refused(f"the code has more than {self._limits.code_bytes:,} bytes, which is the limit.")
        return await self._engine.execute(code, request)

    async def aclose(self) -> None:
        await self._engine.aclose()


def _refused(problem: str) -> ToolResult:
    return ToolResult(content=f"Error: {problem}", is_error=True)
