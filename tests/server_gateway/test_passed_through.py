"""Chat completions passed through: OpenAI's own client in front, scripted and real model servers behind."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest

from tests.server.process import Replaystack
from tests.server_gateway.asking import (
    ANSWER,
    HELLO,
    KEY,
    PATHS,
    TEXT,
    TOOL,
    body,
    check_openai_error,
    post,
    sent,
)
from tests.servers.processes import RunningServer


def test_an_answer_comes_whole(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=TEXT, messages=HELLO)
    assert answer.choices[0].message.content == ANSWER
    assert answer.usage is not None and (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 3)
    assert answer.model == "text;chunks=3"


def test_an_answer_comes_in_chunks_without_the_tokens_that_nobody_asked_for(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model=TEXT, messages=HELLO, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == ANSWER
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, None, "stop"]
    assert all(chunk.usage is None for chunk in chunks)


def test_tokens_come_where_they_were_asked_for(client: openai.OpenAI) -> None:
    options: Any = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(model=TEXT, messages=HELLO, stream=True, stream_options=options)
    )
    assert [len(chunk.choices) for chunk in chunks] == [1, 1, 1, 1, 0]
    assert chunks[-1].usage is not None and chunks[-1].usage.completion_tokens == 3


def test_a_server_that_cannot_be_asked_for_tokens_is_asked_without(
    client: openai.OpenAI, scripted: RunningServer
) -> None:
    chunks = list(client.chat.completions.create(model="scripted/no-options", messages=HELLO, stream=True))
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert "stream_options" not in sent(scripted)["body"]
    # One that sends them all the same is not passed on to who did not ask.
    usage = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":1}}\n\n'
    scripted.queue(wire(HEL + usage + LO + END, "text/event-stream"))
    chunks = list(client.chat.completions.create(model="scripted/no-options", messages=HELLO, stream=True))
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    # Who asks for them is told.
    options: Any = {"include_usage": True}
    with pytest.raises(openai.UnprocessableEntityError, match="stream_options"):
        client.chat.completions.create(
            model="scripted/no-options", messages=HELLO, stream=True, stream_options=options
        )


def test_calls_of_tools_pass(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="scripted/tools;pieces=5", messages=HELLO, tools=[TOOL]
    ) as stream:
        final = stream.get_final_completion()
    [call] = final.choices[0].message.tool_calls or []
    assert call.function.name == "look" and json.loads(call.function.arguments) == {"what": "scripted"}
    assert final.choices[0].finish_reason == "tool_calls"


def test_the_stream_is_byte_for_byte_what_the_server_said(
    http: httpx.Client, scripted: RunningServer
) -> None:
    direct = httpx.post(
        f"{scripted.base_url}/chat/completions",
        json=body("text;chunks=3", stream=True),
        trust_env=False,
    )
    passed = post(http, stream=True)
    assert passed.content == direct.content
    assert passed.content.endswith(b"data: [DONE]\n\n")
    assert passed.headers["content-type"] == "text/event-stream"
    assert passed.headers["cache-control"] == "no-cache, no-transform"
    assert passed.headers["x-accel-buffering"] == "no"


def test_the_body_goes_on_as_it_is_but_for_the_name(http: httpx.Client, scripted: RunningServer) -> None:
    more = {"novel_field": {"deep": [1, None, "é"]}, "temperature": "hot", "seed": 2**70, "n": 1.0}
    post(http, **more)
    assert sent(scripted)["body"] == body("text;chunks=3", **more)
    post(http, stream=True, stream_options={"include_usage": False, "other": 1})
    options = {"include_usage": True, "other": 1}
    assert sent(scripted)["body"] == body("text;chunks=3", stream=True, stream_options=options)


def test_numbers_keep_their_digits(http: httpx.Client, scripted: RunningServer) -> None:
    written = b'{"messages": [ ], "model":"scripted/echo", "stream": true, "x": [1.50, 0.1e-7]}'
    http.post(PATHS[0], content=written, headers={"content-type": "application/json"}).raise_for_status()
    assert sent(scripted)["headers"]["content-length"] == str(
        len(
            b'{"messages":[ ],"model":"echo","stream":true,"x":[1.50, 0.1e-7],'
            b'"stream_options":{"include_usage":true}}'
        )
    )


def test_the_trace_goes_on_and_the_callers_secrets_do_not(
    http: httpx.Client, scripted: RunningServer
) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    answer = http.post(
        PATHS[0],
        json=body(),
        headers={
            "authorization": "Bearer the-callers-key",
            "cookie": "session=secret",
            "x-llamastack-provider-data": "{}",
            "traceparent": f"00-{trace_id}-b7ad6b7169203331-01",
            "tracestate": "vendor=1",
            "idempotency-key": "once",
        },
    )
    assert answer.headers["x-trace-id"] == trace_id
    headers = sent(scripted)["headers"]
    assert headers["traceparent"].startswith(f"00-{trace_id}-")
    assert "b7ad6b7169203331" not in headers["traceparent"]
    assert headers["tracestate"] == "vendor=1"
    assert headers["idempotency-key"] == "once"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert "cookie" not in headers and "x-llamastack-provider-data" not in headers


def test_a_bare_name_that_one_provider_has(http: httpx.Client, gateway: Replaystack) -> None:
    assert post(http, "tiny-random", max_tokens=4).status_code == 200
    ambiguous = check_openai_error(post(http, "echo"), 400, "ambiguous", "scripted/echo", "impatient/echo")
    assert ambiguous["type"] == "invalid_request_error"


def test_a_huge_body_passes(http: httpx.Client, scripted: RunningServer) -> None:
    picture = "data:image/png;base64," + "iVBORw0K" * 2_500_000
    content = [{"type": "image_url", "image_url": {"url": picture}}]
    answer = http.post(PATHS[0], json={"model": TEXT, "messages": [{"role": "user", "content": content}]})
    assert answer.json()["choices"][0]["message"]["content"] == ANSWER
    assert sent(scripted)["body"]["messages"][0]["content"] == content


def test_a_long_answer_in_one_piece_passes(http: httpx.Client) -> None:
    answer = post(http, "scripted/text;chunks=250000")
    assert answer.headers["content-length"] == str(len(answer.content))
    assert len(answer.json()["choices"][0]["message"]["content"]) > 1_000_000


def test_many_at_once(gateway: Replaystack, scripted: RunningServer) -> None:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="x", max_retries=0) as client:

        def text(number: int) -> str:
            answer = client.chat.completions.create(
                model=f"scripted/text;chunks={number + 1};gap_ms=2", messages=HELLO, stream=True
            )
            return "".join(chunk.choices[0].delta.content or "" for chunk in answer)

        with ThreadPoolExecutor(16) as threads:
            texts = list(threads.map(text, range(48)))
    assert [one.count(" ") for one in texts] == [sum(i % 11 != 0 for i in range(n)) for n in range(1, 49)]


def test_the_demo_answers_in_the_same_form(client: openai.OpenAI) -> None:
    asked: list[Any] = [
        {"role": "system", "content": "The harbour opens at ten."},
        {"role": "user", "content": "When does the harbour open?"},
    ]
    whole = client.chat.completions.create(model="demo/extractive", messages=asked)
    text = whole.choices[0].message.content or ""
    assert "ten" in text and whole.usage is not None and whole.usage.total_tokens > 0
    options: Any = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(
            model="extractive", messages=asked, stream=True, stream_options=options
        )
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == text
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage == whole.usage


def test_the_demo_calls_tools_and_refuses_what_it_cannot_read(client: openai.OpenAI) -> None:
    asked: list[Any] = [{"role": "user", "content": "Look for the moon."}]
    choice: Any = {"type": "function", "function": {"name": "look"}}
    with client.chat.completions.stream(
        model="demo/extractive", messages=asked, tools=[TOOL], tool_choice=choice
    ) as stream:
        streamed = stream.get_final_completion().choices[0]
    whole = client.chat.completions.create(
        model="demo/extractive", messages=asked, tools=[TOOL], tool_choice=choice
    ).choices[0]
    for one in (streamed, whole):
        [call] = one.message.tool_calls or []
        assert json.loads(getattr(call, "function").arguments) == {"what": "moon"}  # noqa: B009
        assert one.finish_reason == "tool_calls"
    for wrong in ({"messages": []}, {"messages": "hi"}, {"n": 2}, {"tool_choice": "sometimes"}):
        with pytest.raises(openai.BadRequestError, match=next(iter(wrong))):
            client.chat.completions.create(**{"model": "demo/extractive", "messages": HELLO, **wrong})


def test_a_real_server_streams_calls_and_refuses(client: openai.OpenAI, llama_cpp: RunningServer) -> None:
    options: Any = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(
            model="llama/tiny-random", messages=HELLO, max_tokens=8, stream=True, stream_options=options
        )
    )
    assert chunks[-1].usage is not None and chunks[-1].usage.completion_tokens <= 8
    assert any(chunk.choices and chunk.choices[0].finish_reason for chunk in chunks)
    bare = list(
        client.chat.completions.create(model="llama/tiny-random", messages=HELLO, max_tokens=8, stream=True)
    )
    assert all(chunk.choices for chunk in bare)
    with client.chat.completions.stream(
        model="llama/tiny-random", messages=HELLO, tools=[TOOL], tool_choice="required", temperature=0
    ) as stream:
        final = stream.get_final_completion()
    [call] = final.choices[0].message.tool_calls or []
    assert json.loads(call.function.arguments)["what"] in ("moon", "sun")
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="llama/tiny-random", messages="not messages")  # type: ignore[call-overload]
    assert "messages" in refused.value.message


HEL, LO = (b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":null}]}\n\n' % text for text in (b"Hel", b"lo"))  # fmt: skip
END = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def wire(body: bytes, kind: str, **settings: int) -> str:
    said = {"body": base64.b64encode(body).decode(), **({"type": kind} if kind else {}), **settings}
    return ";".join(["wire", *(f"{name}={value}" for name, value in said.items())])


@pytest.mark.parametrize("kind", ["text/plain; charset=utf-8", "application/json", "application/octet-stream", "", "text/html"])  # fmt: skip
def test_a_stream_passes_as_it_comes_whatever_its_type(
    http: httpx.Client, scripted: RunningServer, kind: str
) -> None:
    # The second piece never comes: the first one has to pass all the same.
    scripted.queue(wire(HEL + LO, kind, size=len(HEL), gap_ms=10_000))
    with http.stream("POST", PATHS[0], json=body(stream=True)) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        assert next(answer.iter_raw()) == HEL


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (HEL + b": ping\r\n\r\n" + LO + END, "text/event-stream"),
        (HEL + LO + END, "application/json"),
        (json.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]}).encode(), "application/json"),
    ],
)  # fmt: skip
def test_streams_are_read_by_the_client_whatever_the_server_wrote(
    client: openai.OpenAI, scripted: RunningServer, sent: bytes, kind: str
) -> None:
    scripted.queue(wire(sent, kind))
    chunks = list(client.chat.completions.create(model=TEXT, messages=HELLO, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello"
    assert chunks[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("code", "status"), [(402, {False: 402, True: 502}), (429, {False: 429, True: 429})])
def test_an_error_with_status_200_is_an_error(
    http: httpx.Client, scripted: RunningServer, stream: bool, code: int, status: dict[bool, int]
) -> None:
    error = json.dumps({"error": {"message": "No credits left", "code": code}}).encode()
    scripted.queue(wire(error, "application/json"))
    answer = post(http, stream=stream)
    assert answer.status_code == status[stream] and "No credits left" in answer.json()["error"]["message"]
