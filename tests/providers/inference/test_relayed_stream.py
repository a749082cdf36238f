"""Answers that are passed through: what comes out is what went in, and what was noted of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stack.errors import TooManyRequests, Unavailable, UpstreamFailed
from stack.providers.inference.noted_answer import MAX_CHOICES, Noted
from stack.providers.inference.relayed_stream import RelayedStream


def event(value: Any, separator: str = "\n\n") -> bytes:
    return f"data: {json.dumps(value)}{separator}".encode()


def chunk(text: str = "", reason: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    choice = {"index": index, "delta": {"content": text} if text else {}, "finish_reason": reason}
    return {"id": "chatcmpl-1", "model": "m-1", "choices": [choice], "usage": None, **more}


USAGE = {"id": "chatcmpl-1", "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}
DONE = b"data: [DONE]\n\n"
ANSWER = [event(chunk("Hel")), b": alive\n\n", event(chunk("lo")), event(chunk(reason="stop"))]


def passed(sent: bytes, size: int, without_usage: bool, noted: Noted) -> bytes:
    """Returns the output if `size` bytes at a time are fed."""
    stream = RelayedStream(noted, without_usage=without_usage)
    pieces = [stream.feed(sent[start : start + size]) for start in range(0, len(sent), size)]
    return b"".join([*pieces, stream.ended()])


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
@pytest.mark.parametrize("crlf", [False, True])
def test_events_come_out_whole_and_the_one_about_tokens_only_for_who_asked(size: int, crlf: bool) -> None:
    whole, kept = b"".join([*ANSWER, event(USAGE), DONE]), b"".join([*ANSWER, DONE])
    if crlf:
        whole, kept = whole.replace(b"\n", b"\r\n"), kept.replace(b"\n", b"\r\n")
    noted = Noted()
    assert passed(whole, size, False, Noted()) == whole
    assert passed(whole, size, True, noted) == kept
    assert noted.finish_reasons == {0: "stop"}
    assert (noted.input_tokens, noted.output_tokens) == (7, 2)
    assert (noted.response_id, noted.model, noted.error) == ("chatcmpl-1", "m-1", "")
    assert noted.chunks == 4


@pytest.mark.parametrize("size", [1, 5, 10_000])
def test_the_last_event_is_left_out_for_clients_that_fail_on_it(size: int) -> None:
    text = event(chunk("[DONE] is what I say"))
    stream = RelayedStream(Noted(), without_usage=False, without_done=True)
    sent = text + event(chunk(reason="stop")) + DONE
    pieces = [stream.feed(sent[start : start + size]) for start in range(0, len(sent), size)]
    assert b"".join([*pieces, stream.ended()]) == text + event(chunk(reason="stop"))


HELLO = [chunk("Hel"), chunk("lo"), chunk(reason="stop")]


def text_of(events: bytes) -> str:
    """Returns the events for a client that accepts lines ending in LF, CRLF and CR, and events that end in a
    blank line."""
    said = []
    for one in events.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n\n"):
        lines = [line[5:].strip() for line in one.split(b"\n") if line.startswith(b"data:")]
        if lines and lines != [b"[DONE]"]:
            value = json.loads(b"\n".join(lines))
            said += [choice["delta"].get("content") or "" for choice in value.get("choices", ())]
    return "".join(said)


@pytest.mark.parametrize(
    "sent",
    [
        event(HELLO[0]) + b": ping\r\n\r\n" + event(HELLO[1]) + event(HELLO[2]) + event(USAGE) + DONE,
        event(HELLO[0], "\r\n\r\n") + event(HELLO[1]) + event(USAGE) + event(HELLO[2], "\r\r") + DONE,
        event(HELLO[0], "\n\r\n") + event(HELLO[1], "\r\n\n") + event(USAGE, "\r\r\n") + DONE,
        b"\xef\xbb\xbf" + b"".join([*map(event, HELLO), event(USAGE), DONE]).replace(b"\n", b"\r"),
        b"".join([*map(event, HELLO), event(USAGE), DONE]).replace(b"\n\n", b"\n"),
        b"".join([*map(event, HELLO), event(USAGE), DONE]).removesuffix(b"\n\n"),
        b"".join(b"id: 1\nevent: message\n" + event(one) for one in [*HELLO, USAGE]) + DONE,
        b"".join(json.dumps(one).encode() + b"\n" for one in [*HELLO, USAGE]) + DONE,
        b"".join(map(event, HELLO)) + json.dumps(USAGE, indent=1).encode().replace(b"\n", b"\ndata: ").join([b"data: ", b"\n\n"]) + DONE,
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_no_text_is_lost_with_the_event_about_tokens(sent: bytes, size: int) -> None:
    noted = Noted()
    received = passed(sent, size, True, noted)
    assert text_of(received) == "Hello" and received.count(b"[DONE]") == 1
    assert b'"prompt_tokens"' not in received
    assert (noted.input_tokens, noted.output_tokens) == (7, 2)


@pytest.mark.parametrize("form", [json.dumps, lambda value: json.dumps(value, indent=2), lambda value: json.dumps([value])])  # fmt: skip
@pytest.mark.parametrize("size", [1, 10_000])
def test_a_whole_completion_becomes_a_stream(form: Any, size: int) -> None:
    calls = [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]
    message = {"role": "assistant", "content": "Hello", "tool_calls": calls}
    whole = {"id": "c", "object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
             "usage": USAGE["usage"]}  # fmt: skip
    noted = Noted()
    received = passed(form(whole).encode(), size, True, noted)
    first, last, rest = received.split(b"\n\n")
    assert (last, rest) == (b"data: [DONE]", b"")
    assert json.loads(first[6:]) == {
        "id": "c",
        "object": "chat.completion.chunk",
        "choices": [
            {
                "index": 0,
                "delta": {**message, "tool_calls": [{"index": 0, **calls[0]}]},
                "finish_reason": "stop",
            }
        ],
    }
    assert (noted.input_tokens, noted.finish_reasons) == (7, {0: "stop"})
    assert USAGE["usage"] == json.loads(passed(form(whole).encode(), size, False, Noted())[6:].split(b"\n")[0])["usage"]  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "kind", "mention"),
    [
        (b'{"error":{"message":"No credits left","code":402}}', UpstreamFailed, "No credits left"),
        (b'{\n"detail": "No credits left"\n}\n', UpstreamFailed, "No credits left"),
        (b'[{"error":{"message":"Slow down","code":429}}]', TooManyRequests, "Slow down"),
        (b'{"error":{"message":"Loading","code":"503"}}', Unavailable, "Loading"),
        (b"No credits\r\nleft", UpstreamFailed, "No credits left"),
        (b"<html><title>Bad</title></html>", UpstreamFailed, "web page: Bad"),
        (b"{ not JSON", UpstreamFailed, "{ not JSON"),
        (b"", UpstreamFailed, "something else than an event stream"),
    ],
)
@pytest.mark.parametrize("size", [1, 10_000])
def test_what_is_no_stream_is_a_failure(sent: bytes, kind: type[Exception], mention: str, size: int) -> None:
    with pytest.raises(kind, match=mention):
        passed(sent, size, True, Noted())


def test_an_error_without_an_event_becomes_one_after_text() -> None:
    received = passed(event(HELLO[0]) + b'{"error": "boom"}\n', 5, True, noted := Noted())
    assert received == event(HELLO[0]) + b'data: {"error":"boom"}\n\n' and noted.error == "error"


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize("done", [b"", b"data: [DONE]\n\n"])
@pytest.mark.parametrize("said", [b'{"detail":"no credits"}', b'{"errors":["no credits"]}', b"no credits"])
def test_words_in_place_of_an_answer_become_an_error(said: bytes, done: bytes, size: int) -> None:
    noted = Noted()
    out = passed(b"event: error\ndata: " + said + b"\n\n" + done, size, False, noted)
    error = json.loads(out.removesuffix(done).strip().rpartition(b"data: ")[2])["error"]
    assert "no credits" in error["message"] and noted.error
    assert out.endswith(done)


def test_words_beside_a_whole_answer_stay_as_they_are() -> None:
    sent = event({"message": "busy, please wait"}) + event(chunk("a")) + b"data: [DONE]\n\n"
    noted = Noted()
    assert passed(sent, 1000, False, noted) == sent and not noted.error


def test_calls_that_interleave_are_noted_apart() -> None:
    def piece(index: int, arguments: str, **head: str) -> bytes:
        call = {
            "index": index,
            "function": {"arguments": arguments, "name": head.get("name")},
            "id": head.get("id"),
        }
        return event({"choices": [{"delta": {"tool_calls": [call]}}]})

    noted = Noted(keep_messages=True)
    sent = [piece(0, "", id="a", name="f"), piece(0, "", id="b", name="g"), piece(0, '{"x":1}', id="b"), piece(0, '{"y":1}', id="a")]  # fmt: skip
    passed(b"".join(sent), 100, True, noted)
    [(message, _)] = noted.said()
    assert [(call["id"], call["function"]["arguments"]) for call in message["tool_calls"]] == [
        ("a", '{"y":1}'),
        ("b", '{"x":1}'),
    ]


def test_tokens_beside_choices_stay() -> None:
    last = event(chunk(reason="stop", usage={"prompt_tokens": 1, "completion_tokens": 2}))
    noted = Noted()
    assert passed(last + DONE, 10_000, True, noted) == last + DONE
    assert (noted.input_tokens, noted.output_tokens) == (1, 2)


def test_nothing_comes_out_before_it_is_whole() -> None:
    stream = RelayedStream(Noted(), without_usage=False)
    first, second = event(chunk("a")), event(chunk("b"))
    assert stream.feed(first[:-1]) == b""
    assert stream.feed(first[-1:] + second[:10]) == first
    assert stream.feed(second[10:]) == second
    assert stream.ended() == b""


@pytest.mark.parametrize(
    "odd",
    [b"data: {\n\n", b"data:\n\n", b"event: ping\n\n", b"data: 7\n\n", b"\xff\xfe\n\n", b"data: {\"choices\": 7}\n\n", b"\n\n\n\n",
     b'data: {"choices": [{"index": "x"}], "usage": {"prompt_tokens": -1, "completion_tokens": "y"}}\n\n'],
)  # fmt: skip
def test_what_is_not_understood_passes(odd: bytes) -> None:
    noted = Noted()
    assert passed(odd + DONE, 5, True, noted) == odd + DONE
    assert noted.finish_reasons == {} and noted.input_tokens is None and noted.output_tokens is None


def test_an_error_inside_is_noted_by_its_type() -> None:
    for error, kind in (({"type": "server_error", "message": "x"}, "server_error"), ({"code": 500}, "500"), ("no", "error")):  # fmt: skip
        noted = Noted()
        passed(event({"error": error}), 100, True, noted)
        assert noted.error == kind


def test_an_event_without_an_end_is_not_waited_for_for_ever() -> None:
    stream = RelayedStream(Noted(), without_usage=False)
    with pytest.raises(UpstreamFailed, match="8 MiB"):
        for _ in range(200):
            stream.feed(b"x" * 65536)


def test_an_answer_in_one_piece_is_noted_too() -> None:
    noted = Noted(keep_messages=True)
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    answer = {"id": "a", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}], "usage": USAGE["usage"]}  # fmt: skip
    assert noted.note(json.dumps(answer).encode()) is False
    assert noted.finish_reasons == {0: "tool_calls"} and noted.output_tokens == 2
    function = {"name": "look", "arguments": "{}"}
    assert noted.said() == [
        (
            {"role": "assistant", "content": "", "tool_calls": [{"id": "call_1", "function": function}]},
            "tool_calls",
        )
    ]


def test_messages_are_kept_only_where_they_are_wanted_and_in_bounds() -> None:
    pieces = b"".join(event(chunk("x" * 100_000, index=index)) for index in (0, 1, 0, 1))
    noted = Noted()
    passed(pieces, 4096, True, noted)
    assert noted.said() == []
    noted = Noted(keep_messages=True)
    passed(pieces, 4096, True, noted)
    assert [len(message["content"]) for message, _ in noted.said()] == [162_144, 100_000]


def test_choices_without_number_are_not_noted_for_ever() -> None:
    noted = Noted()
    for index in range(10 * MAX_CHOICES):
        noted.note(json.dumps(chunk(reason="stop", index=index)).encode())
    assert len(noted.finish_reasons) == MAX_CHOICES
