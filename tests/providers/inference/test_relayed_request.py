"""Requests that are passed through: what is read of them, and what is changed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stack.errors import Invalid
from stack.providers.inference.relayed_request import read_request


def asking(options: Any, stream: Any = True) -> Any:
    """The `stream_options` that go out where these came in; None where the request is left as it is."""
    body = {"model": "a", "stream": stream} | ({} if options is ... else {"stream_options": options})
    changed = read_request(json.dumps(body).encode()).asking_for_usage()
    return None if changed is None else json.loads(changed.body("a"))["stream_options"]


def test_only_the_name_of_the_model_changes() -> None:
    written = b'{"z":1.50,"model":"p/m","messages":[{"a" :"\\u00e9"} ],"big":123456789012345678901234567890}'
    assert read_request(written).body("m") == written.replace(b"p/m", b"m")


def test_of_a_member_that_is_there_twice_the_last_counts() -> None:
    read = read_request(b'{"model":"a","x":1,"model":"b"}')
    assert read.model == "b"
    assert read.body("c") == b'{"model":"c","x":1}'


def test_a_value_of_another_type_is_nobodys_business_here() -> None:
    read = read_request(b'{"model":"a","temperature":"hot","top_p":0.5,"stream":"yes","seed":1}')
    assert not read.streamed
    assert read.value("temperature", float) is None
    assert read.value("top_p", float) == 0.5
    assert read.value("seed", float) == 1.0
    assert read.value("absent", float) is None


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (..., {"include_usage": True}),
        (None, {"include_usage": True}),
        ({}, {"include_usage": True}),
        ({"include_usage": False}, {"include_usage": True}),
        ({"include_usage": None, "x": [1]}, {"include_usage": True, "x": [1]}),
        ({"include_usage": True}, None),
        ("odd", None),
        ([], None),
    ],
)
def test_tokens_are_asked_for_where_the_caller_did_not(given: Any, sent: Any) -> None:
    assert asking(given) == sent
    assert asking(given, stream=False) is None
    assert asking(given, stream=1) is None


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"1", b"{}", b'{"model":""}', b'{"model":[]}', b"\xff", b'{"model":"a","x":' + b"[" * 10**6]
)  # fmt: skip
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid):
        read_request(body)
