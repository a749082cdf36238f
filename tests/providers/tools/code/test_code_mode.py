"""Code that calls the turn's other tools: each stop is a state from which another process continues."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import msgspec
import pytest

from schemas.events.payload import ContentItem
from stack.providers.tools.code.interpreter import NO_OUTPUT
from stack.providers.tools.code.monty_engine import functions_of
from stack.providers.tools.port import STRUCTURED_CONTENT, NestedCall, Suspended, ToolResult
from tests.providers.tools.code.running import Running, running, text


@pytest.fixture(scope="module")
def code() -> Iterator[Running]:
    with running() as made:
        yield made


def test_returns_what_is_printed_and_the_last_value(code: Running) -> None:
    assert code.run("print('a')\nprint('b', end='')\n{'x': [1, (2,)], 'y': None}") == text(
        "a\nb\n{'x': [1, (2,)], 'y': None}"
    )
    assert code.run("'text'") == text("text")
    assert code.run("x = 1") == text(NO_OUTPUT)


def test_an_exception_is_an_error_with_its_traceback(code: Running) -> None:
    result = code.run("print('before')\ndef f():\n    return 1 / 0\nf()")
    assert result.is_error
    assert str(result.content).startswith("before\nTraceback (most recent call last):")
    assert "line 3, in f" in str(result.content)
    assert str(result.content).endswith("ZeroDivisionError: division by zero")
    assert "SyntaxError" in str(code.run("def").content)


def test_a_tool_is_a_function(code: Running) -> None:
    others = {"add": ["left", "right"]}
    result = code.run(
        "print('begin')\nx = add(1, right=2)\nprint(x)\nadd({'left': x, 'right': 'y'})",
        {"add": lambda left, right: text(f"{left}+{right}")},
        others,
    )
    assert result == text("begin\n1+2\n1+2+y")
    assert code.rounds == [
        [NestedCall(tool="add", arguments={"left": 1, "right": 2})],
        [NestedCall(tool="add", arguments={"left": "1+2", "right": "y"})],
    ]
    assert all(len(state) < 8_000 for state in code.states)


def test_calls_that_are_gathered_are_made_together(code: Running) -> None:
    source = """
import asyncio
async def double(n):
    return json.loads(await get(n=n)) + json.loads(await get(n=n))
import json
print(await asyncio.gather(*[double(n) for n in range(3)]))
print(f"{await get(n=7)}")
"""
    assert code.run(source, {"get": lambda n: text(n * 10)}) == text("[0, 20, 40]\n70")
    assert [sorted(one.arguments["n"] for one in calls) for calls in code.rounds] == [
        [0, 1, 2],
        [0, 1, 2],
        [7],
    ]


def test_results_stay_with_their_calls(code: Running) -> None:
    source = "import asyncio\nawait asyncio.gather(*[get(n=n) for n in range(20)])"
    assert code.run(source, {"get": lambda n: text(n)}) == text(str([str(n) for n in range(20)]))


@pytest.mark.parametrize(
    "source",
    [
        "# await\nget(n=1)[0]",
        "'await'\nget(n=1)[0]",
        "'''\nasync\n'''\nget(n=1)[0]",
        "x = f'{await get(n=1)}'\nx[0]",
        "(await  (get(n=1)))[0]",
    ],
)
def test_only_code_with_await_gets_coroutines(code: Running, source: str) -> None:
    assert code.run(source, {"get": lambda n: text("xyz")}) == text("x")


def test_a_call_that_is_not_awaited_is_not_made(code: Running) -> None:
    result = code.run("async def f(): pass\nget(n=1)\nprint('end')", {"get": lambda n: text("")})
    assert code.rounds == []
    assert "did not await the call: get" in str(result.content)


def test_a_tool_that_fails_raises_and_can_be_caught(code: Running) -> None:
    failing = {"get": lambda: ToolResult(content="no such page", is_error=True)}
    assert code.run("try:\n    get()\nexcept RuntimeError as e:\n    print('caught', e)", failing) == text(
        "caught no such page"
    )
    result = code.run("get()", failing)
    assert result.is_error
    assert str(result.content).endswith("RuntimeError: no such page")
    source = "async def f():\n    try:\n        await get()\n    except RuntimeError as e:\n        return str(e)\nawait f()"
    assert code.run(source, failing) == text("no such page")


def test_a_structured_result_is_a_value_and_others_are_text(code: Running) -> None:
    structured = ToolResult(content='{"a": 1}', metadata={STRUCTURED_CONTENT: {"a": [1.5, None, "é"]}})
    assert code.run("get()['a']", {"get": lambda: structured}) == text("[1.5, None, 'é']")
    wrapped = ToolResult(content="5", metadata={STRUCTURED_CONTENT: {"result": 5}})
    assert code.run("get() + 1", {"get": lambda: wrapped}) == text("6")
    assert code.run("type(get()).__name__", {"get": lambda: text('{"a": 1}')}) == text("str")
    items = ToolResult(content=[ContentItem(type="text", text="x"), ContentItem(type="image")])
    assert code.run("get()", {"get": lambda: items}) == text("x\n[image]")


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ("get(1, 2)", "TypeError: get() takes 1 positional arguments but 2 were given"),
        ("get(1, n=2)", "TypeError: get() got multiple values for argument 'n'"),
        ("get({1})", "TypeError: get.n: a tool takes JSON values, not set"),
        ("get(n=b'x')", "not bytes"),
        ("get(n={1: 2})", "the keys of a dictionary must be strings"),
        ("get(n=2**64)", "more than 64 bits"),
        ("get(n=[float('nan')])", "get.n[0]: nan is not a JSON number"),
        ("import datetime\nget(n=datetime.date(2026, 1, 1))", "not date"),
        ("class A: pass\nget(n=A())", "a tool takes JSON values"),
        ("x = 1\nfor _ in range(40): x = [x]\nget(n=x)", "nested too deeply"),
        ("get(n='x' * 2_000_000)", "Error: the arguments of a call have more than 1,048,576 bytes"),
        ("other()", "NameError: name 'other' is not defined"),
        ("code_interpreter(code='1')", "NameError"),
    ],
)
def test_wrong_arguments_do_not_reach_a_tool(code: Running, call: str, problem: str) -> None:
    result = code.run(call, {"get": lambda n: text("")}, {"get": ["n"]})
    assert result.is_error
    assert problem in str(result.content)
    assert code.rounds == []


def test_functions_can_be_passed_around(code: Running) -> None:
    source = "def twice(f, x):\n    return f(n=f(n=x))\ng = get\ntwice(g, 'a')"
    assert code.run(source, {"get": lambda n: text(f"<{n}>")}) == text("<<a>>")


def test_names_that_python_does_not_have() -> None:
    functions = functions_of(
        {"list-files": ["p"], "open": [], "class": [], "2nd": [], "list_files": [], "x.y": []}
    )
    assert {name: one.tool for name, one in functions.items()} == {
        "list_files": "list-files",
        "open_": "open",
        "class_": "class",
        "_2nd": "2nd",
        "x_y": "x.y",
    }


def test_printed_text_and_variables_survive(code: Running) -> None:
    first = code.start("print('one')\nx = [1]\nx.append(get())\nprint('two')\nx", {"get": []})
    assert isinstance(first, Suspended)
    with running() as another:
        result = another.start(
            "print('one')\nx = [1]\nx.append(get())\nprint('two')\nx",
            {"get": []},
            state=first.state,
            results=[text("r")],
        )
    assert result == text("one\ntwo\n[1, 'r']")


def test_a_state_of_another_version_is_not_continued(code: Running) -> None:
    first = code.start("get()\nget()", {"get": []})
    assert isinstance(first, Suspended)
    fields = msgspec.msgpack.decode(base64.b64decode(first.state))
    fields[0] = "0.9.0"
    state = base64.b64encode(msgspec.msgpack.encode(fields)).decode()
    result = code.start("get()\nget()", {"get": []}, state=state, results=[text("r")])
    assert isinstance(result, ToolResult)
    assert result.is_error
    assert "from version 0.9.0 of the interpreter" in str(result.content)
    assert "Its calls were made: get." in str(result.content)
