"""Which images and documents reach the model, and which are refused before any request to it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.server.api import Api, Conversation, check_error
from tests.server.process import wait_until
from tests.server_content.conftest import FreshServer
from tests.servers.processes import RunningServer
from tests.services.pictures import GIF, JPEG, WEBP, base64_of, data_url, png

TEXT = "scripted/text;chunks=3"
CLIENT_TOOL = {"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}


def image(data: bytes) -> dict[str, Any]:
    return {"type": "image", "image": {"data": base64_of(data)}}


def image_at(url: str) -> dict[str, Any]:
    return {"type": "image", "image": {"url": {"uri": url}}}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def user(content: Any, **more: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content, **more}]


def shown(data: bytes, media_type: str = "image/png") -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": data_url(data, media_type)}}


def sent(scripted: RunningServer) -> list[dict[str, Any]]:
    """The messages of the last request that the model server got."""
    messages: list[dict[str, Any]] = scripted.requests()[-1]["body"]["messages"]
    return messages


def test_images_reach_the_model_as_data_urls(api: Api, scripted: RunningServer) -> None:
    conversation = api.conversation(TEXT, instructions="Look.")
    content = [
        text("These:"),
        image(png()),
        image_at(data_url(JPEG, "image/jpeg")),
        image_at(data_url(GIF, "application/x")),
        image(WEBP),
    ]
    turn = conversation.turn(user(content, context="Hm."))
    assert sent(scripted) == [
        {"role": "system", "content": "Look."},
        {
            "role": "user",
            "content": [
                text("These:"),
                shown(png()),
                shown(JPEG, "image/jpeg"),
                shown(GIF, "image/gif"),
                shown(WEBP, "image/webp"),
                text("Hm."),
            ],
        },
    ]
    assert turn["input_messages"] == user(content, context="Hm.")
    assert conversation.get(turn["turn_id"]).json() == turn


def test_documents_go_before_the_question(api: Api, scripted: RunningServer) -> None:
    documents = [
        {"content": "Alpha", "mime_type": "text/plain", "document_id": "a", "metadata": {"page": 1}},
        {"content": [text("Beta"), image(png())], "mime_type": "text/markdown"},
        {
            "content": {"uri": "data:text/plain;charset=latin-1,caf%E9", "type": "url"},
            "mime_type": "text/plain",
        },
        {"content": "data:application/json;base64,eyJhIjogMX0=", "mime_type": "application/json"},
    ]
    api.conversation(TEXT).turn("What?", documents=documents)
    [message] = sent(scripted)
    assert message["content"] == [
        text(
            '<document index="1" type="text/plain">\nAlpha\n</document>\n'
            '<document index="2" type="text/markdown">\nBeta'
        ),
        shown(png()),
        text(
            '</document>\n<document index="3" type="text/plain">\ncafé\n</document>\n'
            '<document index="4" type="application/json">\n{"a": 1}\n</document>\n\nWhat?'
        ),
    ]


def test_later_turns_show_what_earlier_ones_held_also_after_a_restart(
    fresh_server: FreshServer, scripted: RunningServer
) -> None:
    large = png(bytes_at_least=2 << 20)
    server = fresh_server()
    with server.http() as http:
        conversation = Api(http).conversation(TEXT)
        first = conversation.turn(
            user([text("Look"), image(large)]), documents=[{"content": "Alpha", "mime_type": "text/plain"}]
        )
        conversation.turn("And?")
    expected = sent(scripted)
    assert expected[0]["content"][1] == shown(large)
    assert [message["role"] for message in expected] == ["user", "assistant", "user"]
    server.restart()
    with server.http() as http:
        again = Conversation(Api(http), conversation.agent_id, conversation.session_id)
        again.turn("Once more?")
        assert sent(scripted)[:3] == expected
        assert again.get(first["turn_id"]).json() == first


def test_a_crash_in_the_middle_of_a_turn_loses_no_image(
    fresh_server: FreshServer, scripted: RunningServer
) -> None:
    server = fresh_server()
    with server.http() as http:
        conversation = Api(http).conversation("scripted/text;chunks=3;first_ms=60000;times=1")
        with conversation.streaming(user([image(png(7))])) as stream:
            stream.until("step_start")
            wait_until(lambda: scripted.counts()["requests"] == 1)
            server.kill9()
    before = sent(scripted)
    server.start()
    with server.http() as http:
        again = Conversation(Api(http), conversation.agent_id, conversation.session_id)
        turn_id = again.only_turn_id()
        wait_until(lambda: again.outcome(turn_id)["status"] == "completed")
    assert scripted.counts()["requests"] == 2
    assert sent(scripted) == before == [{"role": "user", "content": [shown(png(7))]}]


def test_images_that_tools_return_follow_in_a_message(api: Api, scripted: RunningServer) -> None:
    conversation = api.conversation(TEXT, client_tools=[CLIENT_TOOL])
    scripted.queue("tools")
    turn = conversation.turn("Look around.")
    [call] = turn["output_message"]["tool_calls"]
    response = {"call_id": call["call_id"], "tool_name": "look"}
    answer = conversation.resume(
        turn["turn_id"], {**response, "content": [image_at("https://127.0.0.1/a.png")]}
    )
    check_error(answer, 400, "tool_responses[0].content[0].image.url", "public internet")
    content = [text("A view."), image(png())]
    resumed = conversation.resume(turn["turn_id"], {**response, "content": content})
    assert resumed.status_code == 200, resumed.text
    assert resumed.json()["output_message"]["content"] == "The answer comes"
    executed = resumed.json()["steps"][1]
    assert executed["tool_responses"][0]["content"] == content
    assert sent(scripted)[2:] == [
        {"role": "tool", "tool_call_id": call["call_id"], "content": "A view."},
        {
            "role": "user",
            "content": [text(f"Images that the tool call {call['call_id']} returned:"), shown(png())],
        },
    ]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A port on loopback that no one may connect to."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0)
        yield listening
        with pytest.raises(BlockingIOError):
            listening.accept()


FORBIDDEN = [
    "https://127.0.0.1/a.png",
    "https://127.0.0.1:{port}/a.png",
    "https://localhost/a.png",
    "https://localhost:{port}/a.png",
    "https://[::1]/a.png",
    "https://[::ffff:127.0.0.1]/a.png",
    "https://0.0.0.0/a.png",
    "https://2130706433/a.png",
    "https://10.0.0.1/a.png",
    "https://169.254.169.254/latest/meta-data/",
    "https://100.100.100.200/latest/meta-data/",
    "https://[fd00::1]/a.png",
    "https://user:hunter2@example.org/a.png",
    "http://127.0.0.1:{port}/a.png",
    "http://example.org/a.png",
    "file:///etc/passwd",
    "file://127.0.0.1:{port}/a.png",
    "ftp://127.0.0.1:{port}/a.png",
    "gopher://127.0.0.1:{port}/_GET",
    "//127.0.0.1:{port}/a.png",
    "a.png",
    "",
]


@pytest.mark.parametrize("template", FORBIDDEN)
def test_urls_of_the_inside_are_refused_and_nothing_is_asked(
    api: Api, scripted: RunningServer, listener: socket.socket, template: str
) -> None:
    url = template.replace("{port}", str(listener.getsockname()[1]))
    conversation = api.conversation(TEXT)
    answer = conversation.post(user([text("See"), image_at(url)]))
    body = check_error(answer, 400, "messages[0].content[1].image.url: ")
    assert "hunter2" not in body["detail"]
    document = {"content": {"uri": url}, "mime_type": "text/plain"}
    check_error(conversation.post("Hi", documents=[document], stream=True), 400, "documents[0].content: ")
    assert scripted.counts()["requests"] == 0
    assert conversation.show()["turns"] == []


@pytest.mark.parametrize(
    ("content", "mentions"),
    [
        ([image(b"%PDF-1.7")], ("messages[0].content[0].image.data", "PNG, JPEG, GIF or WebP")),
        (image(b"hello"), ("messages[0].content.image.data", "hello")),
        ([{"type": "image", "image": {"data": "~~~~"}}], ("messages[0].content[0].image.data", "base64")),
        ([{"type": "image", "image": {}}], ("messages[0].content[0].image", "either url or data")),
        ([image_at("data:image/png;base64,aGVsbG8=")], ("messages[0].content[0].image.url", "hello")),
        ([image(GIF)] * 21, ("at most 20",)),
        (
            [image(png(bytes_at_least=20 << 20))],
            ("messages[0].content[0].image.data", "larger than 20971520 bytes"),
        ),
    ],
)
def test_an_image_that_is_none_or_too_much_is_refused(
    api: Api, scripted: RunningServer, content: Any, mentions: tuple[str, ...]
) -> None:
    conversation = api.conversation(TEXT)
    check_error(conversation.post(user(content)), 400, *mentions)
    check_error(
        conversation.post(user("x", context=content)),
        400,
        *(m.replace("content", "context", 1) for m in mentions),
    )
    assert scripted.counts()["requests"] == 0
    assert conversation.show()["turns"] == []
    assert conversation.turn("Hello")["output_message"]["content"] == "The answer comes"


def test_images_for_a_model_that_sees_none_are_refused(api: Api) -> None:
    conversation = api.conversation("demo/extractive")
    check_error(
        conversation.post(user([text("See"), image(png())])), 400, "messages[0].content[1].image", "no images"
    )


def test_the_largest_image_passes(api: Api, scripted: RunningServer) -> None:
    large = png(bytes_at_least=(20 << 20) - 200)
    conversation = api.conversation(TEXT)
    turn = conversation.turn(user([image(large)]))
    assert sent(scripted)[0]["content"] == [shown(large)]
    assert turn["input_messages"] == user([image(large)])


def test_deleted_images_are_gone_from_the_disk(fresh_server: FreshServer) -> None:
    server = fresh_server()
    blobs = server.data / "blobs"
    with server.http() as http:
        conversation = Api(http).conversation(TEXT)
        conversation.turn(user([image(png(bytes_at_least=1 << 20))]))
        assert [path for path in blobs.rglob("*") if path.is_file()]
        assert http.delete(conversation.path).status_code == 200
        wait_until(lambda: not [path for path in blobs.rglob("*") if path.is_file()])
