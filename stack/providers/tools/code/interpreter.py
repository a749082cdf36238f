"""`builtin::code_interpreter`: executes code of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from stack.errors import Invalid
from stack.providers.tools.code.monty_engine import MontyEngine
from stack.providers.tools.code.sandbox_engine import SandboxEngine
from stack.providers.tools.code.task import Limits
from stack.providers.tools.port import Suspended, ToolDefinition, ToolRequest, ToolResult
from stack.providers.tools.settings import ToolGroupSettings

TOOL = "code_interpreter"
NO_OUTPUT = "[The code printed nothing, and its last expression has no value.]"
MONTY_MEMORY_BYTES = 64 * 2**20
SANDBOX_MEMORY_BYTES = 2**30


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
        is_sandbox = settings.engine == "sandbox"
        memory_bytes = settings.memory_bytes or (SANDBOX_MEMORY_BYTES if is_sandbox else MONTY_MEMORY_BYTES)
        self._limits = Limits(memory_bytes=memory_bytes, time_s=settings.timeout_s / 2)
        self._engine: Engine
        if is_sandbox:
            self._engine = SandboxEngine(settings.python or "", self._limits, settings.max_concurrent)
        else:
            self._engine = MontyEngine(self._limits, settings.max_concurrent)

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
        encoded = code.encode("utf-8", "replace")
        if len(encoded) > self._limits.code_bytes:
            return _refused(f"the code has more than {self._limits.code_bytes:,} bytes, which is the limit.")
        outcome = await self._engine.execute(encoded.decode(), request)
        # Some models take an empty result for a failure.
        return ToolResult(content=NO_OUTPUT) if outcome == ToolResult(content="") else outcome

    async def aclose(self) -> None:
        await self._engine.aclose()


def _refused(problem: str) -> ToolResult:
    return ToolResult(content=f"Error: {problem}", is_error=True)
