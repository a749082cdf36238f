"""The messages between the server and the process that executes code."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Limits(Struct, frozen=True, kw_only=True):
    """Limits of one execution. `time_s` counts while code is executed, not while it waits for tools; `output_chars`
    applies to the printed text and to the value separately; `arguments_bytes` to the arguments of the calls that
    are made together, as JSON, and `depth` to their nesting; `state_bytes` to what is recorded at a call."""

    memory_bytes: int
    time_s: float
    code_bytes: int = 100_000
    output_chars: int = 50_000
    calls: int = 500
    arguments_bytes: int = 2**20
    depth: int = 32
    state_bytes: int = 4 * 2**20


class Function(Struct, frozen=True, array_like=True):
    """A tool that the code may call: its name for the model, and its parameters in order."""

    tool: str
    parameters: list[str]


class Outcome(Struct, frozen=True, array_like=True):
    """The result of a call: `value` for the code, or `error` if the call failed."""

    value: Any = None
    error: str | None = None


class Call(Struct, frozen=True, array_like=True):
    """A call of a tool that the code makes."""

    tool: str
    arguments: dict[str, Any]


class Task(Struct, frozen=True, array_like=True):
    """Begins to execute code, or continues from a state with the outcomes of its calls. `functions` holds the tools
    by their names in the code. `python` is the interpreter of the sandbox."""

    code: str
    functions: dict[str, Function]
    limits: Limits
    state: str | None = None
    outcomes: list[Outcome] = []
    python: str = ""


class Reply(Struct, frozen=True, array_like=True):
    """The end of an execution, with the `text` and `images` (PNG, base64) for the model; or, with a `state`, `calls` to
    make before it continues. A `remedy` means that no code can be executed at all without it."""

    text: str = ""
    is_error: bool = False
    state: str | None = None
    calls: list[Call] = []
    images: list[str] = []
    remedy: str = ""
