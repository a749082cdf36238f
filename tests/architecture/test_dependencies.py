"""Everything that is imported is declared in pyproject.toml, and everything that is declared is used and pinned."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.metadata import distributions

from tests.architecture.sources import ROOT, modules

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

# What no import statement shows, and who needs it.
NEEDED_BY = {
    "adbc-driver-flightsql": "clients of Arrow Flight SQL",
    "fire": "llama-stack-client 0.2.12 imports it and does not declare it",
    "ipykernel": "the kernel of the notebook in docs/examples",
    "matplotlib": "the notebook in docs/examples",
    "mypy": "a command",
    "opentelemetry-util-genai": "opentelemetry-instrumentation-openai-v2 needs an earlier version",
    "openinference-instrumentation-openai": "loaded by name",
    "pyarrow": "clients of Arrow Flight SQL",
    "pycryptodome": "the ciphers of eventsourcing's test cases",
    "pydantic-monty": "brings pydantic-monty-client and the interpreter in the same version",
    "pytest-xdist": "a plugin",
    "pyyaml": "msgspec.yaml",
    "peft": "the training worker, in an interpreter of its own",
    "ruff": "a command",
    "torch": "the training worker",
    "torchao": "the training worker",
    "transformers": "the training worker",
    "tree-sitter-java": "loaded by name",
    "tree-sitter-javascript": "loaded by name",
}
_IMPORT = re.compile(r"^\s*(?:from ([\w.]+) import|import ([\w.]+))", re.MULTILINE)
OWN = {"schemas", "projections", "telemetry", "stack", "tests", "benchmarks"}


def name_of(requirement: str) -> str:
    return normal(re.split(r"[\s\[<>=!~;]", requirement, maxsplit=1)[0])


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements: list[str]) -> set[str]:
    return {name_of(one) for one in requirements} - {"replaystack"}


RUNTIME = names(PROJECT["project"]["dependencies"])
EXTRAS = {extra: names(needed) for extra, needed in PROJECT["project"]["optional-dependencies"].items()}
DEVELOPMENT = names(PROJECT["dependency-groups"]["dev"])
ALL = RUNTIME.union(*EXTRAS.values(), DEVELOPMENT)


@cache
def owners() -> dict[str, str]:
    """From the dotted name of each installed module to the distribution that has it."""
    found = {}
    for one in distributions():
        name = normal(one.metadata["Name"])
        for line in (one.read_text("RECORD") or "").splitlines():
            path = line.partition(",")[0]
            if path.endswith((".py", ".so", ".pyd")):
                folder, _, file = path.rpartition("/")
                module = f"{folder}/{file.partition('.')[0]}".removesuffix("/__init__")
                found[module.strip("/").replace("/", ".")] = name
    return found


def distribution_of(imported: str) -> str:
    """Empty for the standard library and for what is in this repository."""
    parts = imported.split(".")
    for length in range(len(parts), 0, -1):
        if owner := owners().get(".".join(parts[:length])):
            return owner
    return ""


@cache
def imported_by_tests() -> dict[str, str]:
    """Distributions that tests, benchmarks and examples import, each with a file that does."""
    found = {}
    for folder in ("tests", "benchmarks", "docs/examples"):
        for path in (ROOT / folder).rglob("*.py"):
            for module, name in _IMPORT.findall(path.read_text()):
                one = module or name
                if one.split(".")[0] not in OWN and (owner := distribution_of(one)):
                    found[owner] = str(path.relative_to(ROOT))
    return found


@cache
def imported_by_the_product() -> dict[str, str]:
    found = {}
    for module in modules():
        for one in module.imports():
            if one.name.split(".")[0] not in OWN and (owner := distribution_of(one.name)):
                found[owner] = module.where
    return found


def test_what_is_imported_is_declared() -> None:
    declared = RUNTIME.union(*EXTRAS.values())
    assert {name: where for name, where in imported_by_the_product().items() if name not in declared} == {}
    assert {name: where for name, where in imported_by_tests().items() if name not in ALL} == {}


def test_what_is_declared_is_imported_or_says_who_needs_it() -> None:
    assert RUNTIME.union(*EXTRAS.values()) - set(imported_by_the_product()) - set(NEEDED_BY) == set()
    assert DEVELOPMENT - set(imported_by_tests()) - set(NEEDED_BY) == set()
    assert set(NEEDED_BY) <= ALL


def test_only_scoring_imports_the_extra_of_scoring() -> None:
    """An installation without it starts the server and does everything else."""
    wrong = [
        f"{module.where}:{one.line} imports {one.name}"
        for module in modules()
        for one in module.imports()
        if distribution_of(one.name) in EXTRAS["scoring"]
        and not module.name.startswith("stack.providers.scoring.")
    ]
    assert wrong == []


def test_all_versions_are_pinned() -> None:
    pinned = {name_of(one) for one in PROJECT["tool"]["uv"]["constraint-dependencies"]}
    assert ALL - pinned == set()
