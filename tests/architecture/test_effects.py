"""Decisions are pure, and a turn reaches the world through one port."""

from __future__ import annotations

import ast

from tests.architecture.sources import Module, modules

FOLDERS = ("stack.domain", "telemetry.query")
PURE = {
    "__future__", "collections", "difflib", "enum", "functools", "hashlib", "itertools", "json", "jsonschema_rs", "math", "msgspec",
    "re", "re2", "schemas", "stack.domain", "stack.errors", "telemetry.query", "typing",
}  # fmt: skip

# What a turn runner could reach the clock, chance or the network with, going around the port.
AROUND_THE_PORT = {
    "datetime", "http", "io", "openai", "os", "pathlib", "random", "secrets", "socket", "subprocess", "threading",
    "time", "uuid", "uuid_utils",
}  # fmt: skip
CLOCKS = {"sleep", "timeout", "timeout_at", "wait_for", "call_later", "call_at", "time"}


def allowed(name: str) -> bool:
    parts = name.split(".")
    return parts[0] in PURE or ".".join(parts[:2]) in PURE


# The modules that decide what a running turn does next.
RUNNER = ("turn_runner", "tool_step", "retrieval_step", "shield_step")


def runner() -> list[Module]:
    names = {f"stack.services.turns.{name}" for name in RUNNER}
    found = [module for module in modules() if module.name in names]
    assert len(found) == len(names)
    return found


def test_the_domain_is_pure() -> None:
    wrong = [
        f"{module.where}:{found.line} imports {found.name}"
        for module in modules()
        if module.name.startswith(FOLDERS)
        for found in module.imports()
        if not allowed(found.name)
    ]
    assert wrong == []


def test_the_domain_waits_for_nothing_and_opens_nothing() -> None:
    for module in modules():
        if module.name.startswith(FOLDERS):
            for node in ast.walk(module.tree):
                assert not isinstance(node, ast.AsyncFunctionDef | ast.Await), f"{module.where}:{node.lineno}"
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    assert node.func.id not in ("open", "input", "print", "exec", "eval", "__import__")


def test_the_turn_runner_goes_around_no_port() -> None:
    for found in (found for module in runner() for found in module.imports()):
        assert found.name.split(".")[0] not in AROUND_THE_PORT, found
        if found.name.startswith("stack.providers."):
            assert ".port." in found.name, found
        assert not found.name.startswith("stack.eventstore"), found


def test_the_turn_runner_asks_the_port_for_time_and_answers() -> None:
    for node in (node for module in runner() for node in ast.walk(module.tree)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner = ast.unparse(node.func.value)
        if node.func.attr in ("check", "infer", "call_tool", "now_ms", "now_us", "new_id"):
            assert owner.endswith("effects"), f"line {node.lineno}: {owner}.{node.func.attr}"
        if owner == "asyncio" or "get_running_loop" in owner:
            assert node.func.attr not in CLOCKS, f"line {node.lineno}: {owner}.{node.func.attr}"
