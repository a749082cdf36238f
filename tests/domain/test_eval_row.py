"""The forms of a row, and what is said of one that has none of them."""

import json

import pytest

from schemas.events.payload import URL, ContentItem, ImageSource
from stack.domain.eval_row import RowMessage, read_row
from stack.errors import Invalid

HELLO = (RowMessage("user", "Hello"),)
ASKED = [{"role": "user", "content": "Hello"}]


def read(**row):
    return read_row(json.dumps(row).encode())


@pytest.mark.parametrize(
    "row",
    [
        {"chat_completion_input": json.dumps(ASKED), "expected_answer": "x"},
        {"chat_completion_input": ASKED, "expected_answer": "x"},
        {"messages": ASKED, "answer": "x"},
        {"messages": json.dumps(ASKED), "answer": "x"},
        {"completion_input": "Hello", "expected_answer": "x"},
        {"completion_input": json.dumps("Hello"), "expected_answer": "x"},
        {"completion_input": json.dumps({"content": "Hello"}), "expected_answer": "x"},
        {"completion_input": {"content": "Hello"}, "expected_answer": "x"},
        {"question": "Hello", "answer": "x"},
        {"question": "Hello", "answer": None, "expected_answer": "x"},
        {"chat_completion_input": None, "question": "Hello", "answer": "x"},
    ],
)
def test_each_form_is_read(row):
    found = read(**row)
    assert found.messages == HELLO
    assert found.values["expected_answer"] == "x"
    assert found.values["input_query"] == "Hello"


def test_a_conversation_is_read_whole():
    spoken = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": [{"type": "text", "text": "Who"}, {"type": "text", "text": "are you?"}]},
    ]
    found = read(messages=spoken, answer="x")
    assert [message.role for message in found.messages] == ["system", "user", "assistant", "user"]
    assert found.messages[-1].content == [
        ContentItem(type="text", text="Who"),
        ContentItem(type="text", text="are you?"),
    ]
    assert found.values["input_query"] == "Who\nare you?"


def test_images_come_in_both_forms():
    image = ContentItem(type="image", image=ImageSource(url=URL("data:image/png;base64,AA")))
    ours = {"type": "image", "image": {"url": {"uri": "data:image/png;base64,AA"}}}
    theirs = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    for item in (ours, theirs):
        assert read(messages=[{"role": "user", "content": [item]}], answer="x").messages[0].content == [image]


def test_scoring_sees_all_fields_and_a_query_that_was_given_stays():
    row = {"question": "Hello", "answer": ["a", 2], "input_query": "Q", "kwargs": [{"n": 1}], "none": None}
    assert read(**row).values == row | {"expected_answer": ["a", 2]}


def test_a_question_is_never_read_as_json():
    assert read(question='["a"]', answer="x").messages == (RowMessage("user", '["a"]'),)


def test_text_that_is_no_json_is_itself():
    assert read(completion_input="[sic] {", expected_answer="x").messages == (RowMessage("user", "[sic] {"),)


def test_an_answer_is_needed_unless_no_function_asks_for_it():
    with pytest.raises(Invalid, match="no expected answer"):
        read(question="Hello")
    assert read_row(b'{"question": "Hello"}', answered=False).messages == HELLO


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (b"[]", "not a JSON object"),
        (b'{"a": 1', "not a JSON object"),
        (b"\xff", "not a JSON object"),
        (b'{"answer": 1}', "no input"),
        (b'{"messages": [], "answer": 1}', "messages has no user message"),
        (b'{"messages": "nonsense", "answer": 1}', "messages is neither a list of messages"),
        (b'{"messages": [{"role": "tool", "content": "x"}], "answer": 1}', "messages is neither.*tool"),
        (b'{"chat_completion_input": "[{}]", "answer": 1}', "chat_completion_input is neither.*role"),
        (b'{"question": 4, "answer": 1}', "question is not valid content"),
        (b'{"question": ' + b"[" * 2000 + b"]" * 2000 + b', "answer": 1}', "."),
    ],
)
def test_other_rows_are_refused_with_the_field(row, problem):
    with pytest.raises(Invalid, match=problem):
        read_row(row)
