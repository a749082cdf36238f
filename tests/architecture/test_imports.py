"""The folders are the architecture: who may import whom, and what is used in one place only."""

from __future__ import annotations

import re
from collections import defaultdict

from tests.architecture.sources import PACKAGES, module_of, modules

# Within `stack`, from the bottom. A layer imports only lower ones, and itself.
LAYERS = {
    "errors": 0,
    "gc_tuning": 0,
    "off_loop": 0,
    "private_files": 0,
    "version": 0,
    "domain": 1,
    "workers": 1,
    "eventstore": 2,
    "providers": 2,
    "event_log": 3,
    "settings": 3,
    "config": 3,
    "runs": 3,
    "logs": 4,
    "data_folder": 4,
    "log_loss": 4,
    "eventsourcing_adapter": 4,
    "services": 5,
    "http": 6,
    "pytest_plugin": 6,
    "wiring": 7,
    "app": 8,
    "cli": 9,
}

# Each of these libraries, and the engine of the event log, has one user.
ONE_USER = {
    "eventsourcing": "stack.eventsourcing_adapter",
    "duckdb": "projections.warehouse.instance",
    "sqlite3": "stack.eventstore.sqlite",
    "stack.eventstore.sqlite": "stack.event_log",
    "httpx2": "stack.providers.inference",
    "litestar": "stack.http",
    "uvicorn": "stack.app",
    "click": "stack.cli",
    "rich": "stack.cli",
    "prompt_toolkit": "stack.cli",
    "pygments": "stack.cli",
    "opentelemetry.sdk": "telemetry",
}
ALSO = {
    "litestar": {"stack.app"},
    "uvicorn": {"stack.http.protocol"},
    "httpx2": {
        "stack.cli.mcp_stdio",
        "stack.providers.tools.mcp_connect",
        "stack.providers.tools.mcp_group",
        "stack.providers.tools.mcp_http",
        "stack.providers.tools.mcp_oauth",
        "stack.providers.tools.web_search",
        "stack.providers.webhook",
    },
    "stack.eventstore.sqlite": {"stack.eventstore.sqlite"},
    "duckdb": {
        "projections.warehouse.attachment",
        "projections.warehouse.fresh_file",
        "projections.warehouse.readers",
        "projections.warehouse.sealed_files",
        "projections.warehouse.transaction",
        "stack.providers.rows.parquet_file",
        # Only in the worker process, over copies.
        "stack.providers.sql",
    },
}

# Too slow to import (0.1 to 1 s) for a server that may never need them.
LAZY = {
    "grpc",
    "bm25s",
    "huggingface_hub",
    "langdetect",
    "math_verify",
    "nanoarrow",
    "numpy",
    "opentelemetry.exporter",
    "opentelemetry.proto",
    "pypdf",
    "rapidfuzz",
    "re2",
    "selectolax",
    "tree_sitter",
}


def layer_of(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def is_contract(name: str) -> bool:
    """Ports and settings of providers are for everyone: they hold types and no work."""
    return name.startswith("stack.providers.") and name.rpartition(".")[2] in ("port", "settings")


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def test_a_package_imports_only_those_before_it() -> None:
    wrong = [
        f"{module.where}:{found.line} imports {found.name}"
        for module in modules()
        for found in module.imports()
        if (package := found.name.split(".")[0]) in PACKAGES
        and PACKAGES.index(package) > PACKAGES.index(module.parts[0])
    ]
    assert wrong == []


def test_the_warehouse_is_machinery() -> None:
    """Read models use it, and it knows none of them: neither by an import nor by name."""
    nouns = re.compile(
        "(?<![a-z])([Aa]gent|[Ss]ession|[Tt]urn|[Dd]ataset|[Bb]enchmark|[Jj]ob|[Ss]pan)s?(?![a-z])"
    )
    wrong = []
    for module in modules():
        if within(module.name, "projections.warehouse"):
            wrong += [
                f"{module.where}:{found.line} imports {found.name}"
                for found in module.imports()
                if within(found.name, "projections") and not within(found.name, "projections.warehouse")
            ]
            for number, line in enumerate(module.path.read_text().splitlines(), 1):
                wrong += [f"{module.where}:{number} names {noun!r}" for noun in nouns.findall(line)]
    assert wrong == []


def test_a_layer_of_stack_imports_only_lower_ones() -> None:
    wrong = []
    for module in modules():
        layer = layer_of(module.name)
        if not within(module.name, "stack") or not layer:
            continue
        for found in module.imports():
            target = module_of(found.name)
            if target is None or not within(target, "stack") or not layer_of(target) or is_contract(target):
                continue
            below = layer_of(target)
            everyones = below in ("errors", "settings", "config", "gc_tuning")
            if below != layer and not everyones and LAYERS[below] >= LAYERS[layer]:
                wrong.append(f"{module.where}:{found.line} imports {found.name}")
    assert wrong == []


def test_every_layer_is_known() -> None:
    found = {layer_of(module.name) for module in modules() if within(module.name, "stack")} - {""}
    assert found == set(LAYERS)


def test_contracts_of_providers_hold_no_work() -> None:
    for module in modules():
        if is_contract(module.name):
            own = {target for found in module.imports() if (target := module_of(found.name))}
            assert all(within(name, "schemas") or is_contract(name) for name in own), module.where


def test_no_module_imports_itself_in_a_circle() -> None:
    imports = defaultdict(set)
    for module in modules():
        for found in module.imports():
            target = module_of(found.name)
            if target and target != module.name and not found.lazy:
                imports[module.name].add(target)
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join([*above[above.index(name) :], name])
        if name not in done:
            for target in imports[name]:
                visit(target, (*above, name))
            done.add(name)

    for name in list(imports):
        visit(name, ())


def test_each_library_has_one_user() -> None:
    wrong = []
    for module in modules():
        for found in module.imports():
            for library, user in ONE_USER.items():
                allowed = {user, *ALSO.get(library, ())}
                if within(found.name, library) and not any(within(module.name, own) for own in allowed):
                    wrong.append(f"{module.where}:{found.line} imports {found.name}")
    assert wrong == []


def test_slow_libraries_are_imported_when_they_are_needed() -> None:
    wrong = [
        f"{module.where}:{found.line} imports {found.name} at the top"
        for module in modules()
        for found in module.imports()
        if not found.lazy and any(within(found.name, library) for library in LAZY)
    ]
    assert wrong == []


def test_schemas_hold_no_logic() -> None:
    allowed = ("__future__", "typing", "collections", "enum", "msgspec", "schemas")
    wrong = [
        f"{module.where}:{found.line} imports {found.name}"
        for module in modules()
        if within(module.name, "schemas")
        for found in module.imports()
        if found.name.split(".")[0] not in allowed
    ]
    assert wrong == []


def test_stored_events_are_apart_from_the_api() -> None:
    """A field that is added to the API must not change what is stored, nor what older releases can read."""
    wrong = [
        f"{module.where}:{found.line} imports {found.name}"
        for module in modules()
        if within(module.name, "schemas.events")
        for found in module.imports()
        if within(found.name, "schemas") and not within(found.name, "schemas.events")
    ]
    assert wrong == []
