"""Rows of the function calling leaderboard."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.providers.scoring.rows import error, score_row

NAME = "basic::bfcl"

FUNCTION = {
    "name": "trip.book",
    "parameters": {
        "type": "dict",
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer"},
            "price": {"type": "float"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "stops": {"type": "tuple", "items": {"type": "integer"}},
            "who": {"type": "dict"},
            "rooms": {"type": "array", "items": {"type": "dict"}},
            "paid": {"type": "boolean"},
        },
        "required": ["city"],
    },
}
EXPECTED = {
    "trip.book": {
        "city": ["San Francisco, CA", "SF"],
        "days": [3, ""],
        "price": [9.5, 10.0, ""],
        "tags": [["a b", "c"], ""],
        "stops": [[1, 2], ""],
        "who": [{"name": ["Ann"], "age": [30, ""]}, ""],
        "rooms": [[{"beds": [2]}, {"beds": [1]}], ""],
        "paid": [True, ""],
    }
}


def row(answer: str, expected: Any = None, id: str = "simple_12", **more: Any) -> dict[str, Any]:
    truth = [EXPECTED] if expected is None else expected
    made = {"id": id, "language": "Python", "function": json.dumps([FUNCTION])}
    return made | {"ground_truth": json.dumps(truth), "generated_answer": answer} | more


@pytest.mark.parametrize(
    "answer",
    [
        "[trip.book(city='SF')]",
        "trip.book(city='san francisco ca')",
        "trip.book(\n  city='SF',\n  days=3\n)",
        "trip.book(city='SF', days=5-2)",
        "trip.book(city='SF', price=10)",
        "trip.book(city='SF', tags=['AB', 'c'])",
        "trip.book(city='SF', stops=(1, 2))",
        "trip.book(city='SF', stops=[1, 2])",
        "trip.book(city='SF', who={'name': 'ann'})",
        "trip.book(city='SF', rooms=[{'beds': 2}, {'beds': 1}])",
        "trip.book(city='SF', paid=True)",
        "trip.book({'city': 'SF', 'days': 3})",
        "'trip.book(city=\"SF\")'",
    ],
)
def test_the_right_call_in_any_form(answer: str) -> None:
    assert score_row(NAME, row(answer)) == {"score": 1.0}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("trip.book(city='LA')", "none of the expected values"),
        ("trip.cancel(city='SF')", "'trip.book' is expected"),
        ("trip.book()", "'city' is missing"),
        ("trip.book(city='SF', days='3')", "it is a str; a int is expected"),
        ("trip.book(city='SF', days=4)", "none of the expected values"),
        ("trip.book(city='SF', days=3.0)", "it is a float"),
        ("trip.book(city='SF', paid=1)", "it is a int; a bool is expected"),
        ("trip.book(city='SF', tags=['c', 'a b'])", "none of the expected values"),
        ("trip.book(city='SF', who={'age': 30})", "none of the expected values"),
        ("trip.book(city='SF', who={'name': 'Ann', 'x': 1})", "none of the expected values"),
        ("trip.book(city='SF', rooms=[{'beds': 1}, {'beds': 2}])", "none of the expected values"),
        ("trip.book(city='SF', hotel='x')", "'hotel' is not expected"),
        ("trip.book(city='SF'), trip.book(city='SF')", "2 calls"),
        ("I would book it.", "it is not valid Python"),
        ("trip.book(city=", "it is not valid Python"),
        ("trip.book(city='SF'", "it is not valid Python"),
        ("'SF'", "where a call should be"),
        ("trip.book(**x)", "without names"),
        ("", "No function is called"),
        ("[]", "No function is called"),
        ("(" * 5000, "it is not valid Python"),
        ("trip.book(city=" + "-" * 100_000 + "1)", "nested too deeply"),
        ("trip.book(days=" + "1+" * 50_000 + "1)", "nested too deeply"),
        ("trip.book(city='a\x00')", "it is not valid Python"),
        ("trip.book(city='\ud800')", "not valid Unicode"),
    ],
)
def test_a_wrong_call_says_why(answer: str, reason: str) -> None:
    found = score_row(NAME, row(answer))
    assert found["score"] == 0.0 and "error" not in found
    assert reason in found["reason"]


def test_nothing_is_run(tmp_path: Any) -> None:
    mark = tmp_path / "mark"
    for answer in (
        f"__import__('pathlib').Path({str(mark)!r}).touch()",
        f"trip.book(city=__import__('pathlib').Path({str(mark)!r}).touch())",
        f"trip.book(city='a' + __import__('os').system('touch {mark}'))",
        f"trip.book(city=(lambda: open({str(mark)!r}, 'w'))())",
        "trip.book(days=9**9**9**9)",
        "trip.book(days=" + "9" * 4000 + "*" + "9" * 4000 + ")",
    ):
        assert score_row(NAME, row(answer))["score"] == 0.0
    assert not mark.exists()


def test_parallel_calls_come_in_any_order() -> None:
    expected = [{"trip.book": {"city": ["Rome"]}}, {"trip.book": {"city": ["Oslo"]}}]
    answer = "[trip.book(city='Oslo'), trip.book(city='Rome')]"
    assert score_row(NAME, row(answer, expected, "parallel_1"))["score"] == 1.0
    twice = "[trip.book(city='Oslo'), trip.book(city='Oslo')]"
    assert score_row(NAME, row(twice, expected, "live_parallel_1-2-3"))["score"] == 0.0
    assert score_row(NAME, row("trip.book(city='Oslo')", expected, "parallel_1"))["score"] == 0.0


def test_of_several_functions_the_right_one_is_called() -> None:
    other = FUNCTION | {"name": "trip.cancel"}
    functions = json.dumps([other, FUNCTION])
    answer = "trip.book(city='SF')"
    assert score_row(NAME, row(answer, id="multiple_4", function=functions))["score"] == 1.0
    assert score_row(NAME, row("trip.cancel(city='SF')", id="multiple_4", function=functions))["score"] == 0.0


@pytest.mark.parametrize(
    ("id", "answer", "right"),
    [
        ("irrelevance_7", "I cannot do that.", 1),
        ("live_irrelevance_7-1-2", "[]", 1),
        ("irrelevance_7", "trip.book(city='SF')", 0),
        ("live_relevance_3-3-0", "trip.book(city='anything')", 1),
        ("live_relevance_3-3-0", "I cannot do that.", 0),
    ],
)
def test_relevance_is_whether_a_function_is_called(id: str, answer: str, right: int) -> None:
    given = row(answer, id=id)
    del given["ground_truth"]
    assert score_row(NAME, given)["score"] == right


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"function": "[{"}, "'function' is not JSON"),
        ({"function": "[]"}, "describes no function"),
        ({"ground_truth": "7"}, "'ground_truth' is a number"),
        ({"ground_truth": "[]"}, "holds no call"),
        ({"ground_truth": "[{}]"}, "is not as BFCL has it"),
        ({"function": '[{"name": "f"}]'}, "is not as BFCL has it"),
        ({"language": "Cobol"}, "must be one of Python, Java, JavaScript"),
        ({"id": 7}, "'id' is a number"),
        ({"generated_answer": None}, "'generated_answer' is null"),
    ],
)
def test_what_is_wrong_with_the_row_is_its_fault(changes: dict[str, Any], problem: str) -> None:
    assert problem in error(NAME, row("trip.book(city='SF')") | changes)


def test_a_type_that_the_language_has_not_is_the_rows_fault() -> None:
    function = {"name": "f", "parameters": {"properties": {"a": {"type": "String"}}, "required": []}}
    given = row("f(a='x')", [{"f": {"a": ["x"]}}], function=[function])
    assert "has the type 'String'; Python has string" in error(NAME, given)
