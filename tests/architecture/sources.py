"""The project's own modules as syntax trees, and what each of them imports."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "projections", "telemetry", "stack")


class Import(NamedTuple):
    """One import. `name` is the module, or the object, with its full dotted path; `lazy` is inside a
    function, or for the type checker only."""

    name: str
    line: int
    lazy: bool


class Module(NamedTuple):
    name: str
    path: Path
    tree: ast.Module
    lines: int

    @property
    def where(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def parts(self) -> list[str]:
        return self.name.split(".")

    def imports(self) -> tuple[Import, ...]:
        return _imports(self)


@cache
def _imports(module: Module) -> tuple[Import, ...]:
    lazy = {
        id(node)
        for block in ast.walk(module.tree)
        if isinstance(block, ast.FunctionDef | ast.AsyncFunctionDef) or _is_for_types(block)
        for node in ast.walk(block)
    }
    found = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, node.lineno, id(node) in lazy) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module.where}:{node.lineno} imports relatively"
            for alias in node.names:
                found.append(Import(f"{node.module}.{alias.name}", node.lineno, id(node) in lazy))
    return tuple(found)


@cache
def modules() -> tuple[Module, ...]:
    """All modules of the four packages."""
    return tuple(_module(path) for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))


@cache
def module_names() -> frozenset[str]:
    return frozenset(module.name for module in modules())


def module_of(name: str) -> str | None:
    """The own module that an imported name is or lives in; None for what is not ours."""
    while name:
        if name in module_names():
            return name
        name = name.rpartition(".")[0]
    return None


def _is_for_types(block: ast.AST) -> bool:
    return isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"


def _module(path: Path) -> Module:
    text = path.read_text()
    parts = path.relative_to(ROOT).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Module(name, path, ast.parse(text), text.count("\n"))
