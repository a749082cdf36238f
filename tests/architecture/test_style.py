"""House rules that a reader notices when they are broken."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.architecture.sources import ROOT, Module, modules

MAX_LINES = 400
MAX_PARAMETERS = 7
SHAPELESS = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}


def test_no_module_or_class_has_a_shapeless_name() -> None:
    for module in modules():
        words = set(module.parts[-1].split("_"))
        assert not words & SHAPELESS, module.where
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                assert not any(word in node.name.lower() for word in SHAPELESS), (
                    f"{module.where}: {node.name}"
                )


def test_nothing_prints() -> None:
    for module in modules():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print", f"{module.where}:{node.lineno}"


def test_no_file_is_asking_to_be_two() -> None:
    files = [path for folder in ("schemas", "projections", "telemetry", "stack", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]  # fmt: skip
    long = {str(path.relative_to(ROOT)): lines for path in files if (lines := path.read_text().count("\n")) > MAX_LINES}  # fmt: skip
    assert long == {}


def test_no_constructor_takes_more_than_seven_parameters() -> None:
    """More of them are parts of something that has a name: group them."""
    wrong = [
        f"{module.where}:{node.lineno}"
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef) and node.name == "__init__"
        if len([*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]) > 1 + MAX_PARAMETERS
    ]
    assert wrong == []


def test_each_module_says_first_what_it_is_for() -> None:
    wrong = [module.where for module in modules() if module.tree.body and len(_first_line(module)) <= 10]
    assert wrong == []


def _first_line(module: Module) -> str:
    return (ast.get_docstring(module.tree) or "").partition("\n")[0]


def test_no_one_waits_for_the_reader_to_finish() -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "XX" + "X")
    for module in modules():
        text = module.path.read_text()
        assert not any(mark in text for mark in marks), module.where
        raised = [node for node in ast.walk(module.tree) if isinstance(node, ast.Raise) and node.exc]
        stubs = [node for node in raised if ast.unparse(node.exc).startswith("NotImplementedError(")]  # type: ignore[arg-type]
        assert stubs == [], module.where


def test_a_noun_has_the_same_file_name_in_every_layer() -> None:
    """A reader who knows the endpoint can name the files."""
    nouns = {path.stem for path in (ROOT / "schemas/events").glob("*.py")} - {"__init__", "base", "payload"}
    assert nouns
    for noun in nouns:
        for folder in ("schemas/api", "stack/domain", "projections", "stack/http"):
            assert (ROOT / folder / f"{noun}.py").is_file(), f"{folder}/{noun}.py"
        found = list((ROOT / "stack/services").rglob(f"{noun}.py"))
        assert len(found) == 1, f"stack/services/**/{noun}.py"


def test_controllers_are_named_by_their_nouns() -> None:
    outside_of_the_specification = {"admin", "health", "mcp", "openapi"}
    for module in modules():
        controllers = [
            node.name
            for node in module.tree.body
            if isinstance(node, ast.ClassDef)
            and any(ast.unparse(base) == "Controller" for base in node.bases)
        ]
        if controllers:
            noun = module.parts[-1]
            assert module.name == f"stack.http.{noun}"
            assert [name.lower() for name in controllers] == [f"{noun.replace('_', '')}controller"], (
                module.where
            )
            assert noun in outside_of_the_specification or (ROOT / f"schemas/api/{noun}.py").is_file(), (
                module.where
            )


# Words of an older style that readers stumble over, and plain ones in their place.
PLAIN = {
    "anew": "again",
    "beneath": "below, under",
    "beside": "next to, in addition to",
    "nobody": "no one",
    "whoever": "a caller that, the one that",
}


def test_words_are_plain() -> None:
    suffixes = {".py", ".sql", ".md", ".ts", ".tsx"}
    folders = ("schemas", "projections", "telemetry", "stack", "benchmarks", "docs")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in suffixes]
    for path in (*files, *ROOT.glob("*.md")):
        if "node_modules" in path.parts:
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            for word in re.findall(r"[A-Za-z]+", line):
                plain = PLAIN.get(word.lower())
                assert plain is None, f"{path.relative_to(ROOT)}:{number}: for {word!r} write {plain!r}"


# The same for the wording of docstrings, as patterns.
WORDING = {
    r"\A(?:Of|What|Who) ": "a sentence: what it returns, does or is",
    r"\bany more\b": "no longer",
    r"(?<![Tt]here )\bis no (?!longer\b)": "is not a",
    r"\b(?:goes|go|going|went) on\b": "continues",
    r"\bstands? for\b": "means, represents",
    r"\bwhere there (?:is|are) none\b": "if there is none",
    r"\b(?:some|any)body\b": "someone, another process",
}


def _statements(block: ast.AST) -> Iterator[ast.AST]:
    """Yields all statements, without visiting their expressions."""
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        for node in getattr(block, field, ()):
            yield node
            yield from _statements(node)


def test_docstrings_are_plain() -> None:
    wrong = []
    any_of_them = re.compile("|".join(WORDING))
    folders = ("schemas", "projections", "telemetry", "stack", "tests", "benchmarks")
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in _statements(ast.parse(path.read_text())):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                text = " ".join(str(node.value.value).split())
                if any_of_them.search(text):
                    found = {plain: re.search(pattern, text) for pattern, plain in WORDING.items()}
                    wrong += [
                        f"{path.relative_to(ROOT)}:{node.lineno}: for {one[0]!r} write {plain!r}"
                        for plain, one in found.items()
                        if one
                    ]
    assert wrong == []
