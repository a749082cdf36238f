"""The messages of a session that are sent to a model."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from schemas.events.payload import (
    AgentConfig,
    ContentItem,
    Document,
    ImageSource,
    InputMessage,
    ToolConfig,
    ToolDef,
)
from schemas.events.turn import FetchedContent
from stack.domain.session import SessionState
from stack.domain.turn import NOT_EXECUTED
from stack.event_log import open_store
from stack.eventstore import Append, StreamWrite, stream_name
from stack.services.tools.tool_set import ToolSet
from stack.services.turns.conversation import (
    LARGE_INPUT_CHARACTERS,
    Conversations,
    History,
    answers_of,
    questions_of,
    system_message,
)
from tests.services.pictures import GIF, JPEG, WEBP, base64_of, data_url, png
from tests.services.turn_states import Turn, call, chat, document, image, image_at, said, text

REMOTE = "https://example.org/a.png"
FETCHED = [FetchedContent(REMOTE, "image/png", base64_of(png()))]


def history(*turns: Turn) -> History:
    history = History()
    for turn in turns:
        history.add(turn.state)
    return history


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: str) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def tool(call_id: str, content: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def shown(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def written(content: str) -> dict[str, Any]:
    return {"type": "text", "text": content}


def asked(turn: Turn) -> dict[str, Any]:
    [message] = chat(questions_of(turn.state))
    return message


def test_questions_and_answers_alternate() -> None:
    past = history(Turn("One?").answered("1."), Turn("Two?").answered("2."))
    assert chat(past.messages) == [user("One?"), assistant("1."), user("Two?"), assistant("2.")]
    assert past.turns == 2
    assert not past.pending
    assert past.bytes >= sum(len(bytes(message)) for message in past.messages)


def test_all_that_a_user_says_in_a_turn_is_one_message() -> None:
    turn = Turn(said("First.", "Then."))
    assert asked(turn) == user("First.\n\nThen.")


def test_items_and_context_become_text() -> None:
    turn = Turn(said([text("a"), text("b")], context=[text("c"), text("d")]))
    assert asked(turn) == user("a\nb\n\nc\nd")
    assert asked(Turn(said(text("alone")))) == user("alone")


def test_a_turn_that_failed_without_an_answer_is_left_out() -> None:
    past = history(
        Turn("One?").answered("1."),
        Turn("Lost?").failed(),
        Turn("Lost too?").cancelled(),
        Turn("Two?").answered("2."),
    )
    assert chat(past.messages) == [user("One?"), assistant("1."), user("Two?"), assistant("2.")]
    assert past.turns == 4


def test_a_turn_that_failed_behind_an_answer_is_kept_as_far_as_it_came() -> None:
    turn = Turn("Weather?").infers("Let me see.", call("c1")).awaits().resumed("rain").failed()
    assert [message["role"] for message in chat(history(turn).messages)] == ["user", "assistant", "tool"]


def test_what_a_broken_off_answer_had_said_is_its_answer() -> None:
    turn = Turn("Tell.")
    turn.infers("A begin").cancelled()
    assert chat(history(turn).messages) == [user("Tell."), assistant("A begin")]


def test_tool_calls_and_their_responses() -> None:
    turn = Turn("Weather?").infers("", call("c1"), call("c2", "clock", "{}")).awaits()
    assert chat(answers_of(turn.state)) == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city":"Oslo"}'},
                },
                {"id": "c2", "type": "function", "function": {"name": "clock", "arguments": "{}"}},
            ],
        }
    ]
    turn.resumed("rain", [text("12"), text(":30")]).answered("Wet.")
    assert chat(answers_of(turn.state))[1:] == [tool("c1", "rain"), tool("c2", "12\n:30"), assistant("Wet.")]


@pytest.mark.parametrize("arguments", ["", "{", "[1]", "null", '{"a": NaN}', "{} {}"])
def test_arguments_that_are_no_object_do_not_go_back(arguments: str) -> None:
    turn = Turn("Weather?").infers("", call("c1", arguments=arguments))
    [message] = chat(answers_of(turn.state))
    assert message["tool_calls"][0]["function"]["arguments"] == "{}"


def test_calls_of_an_abandoned_turn_are_said_not_to_have_been_executed() -> None:
    past = history(Turn("Weather?").infers("", call("c1"), call("c2")).awaits().abandoned())
    assert list(past.pending) == ["c1", "c2"]
    next_one = Turn("Never mind.")
    assert chat(questions_of(next_one.state, past.pending)) == [
        tool("c1", NOT_EXECUTED),
        tool("c2", NOT_EXECUTED),
        user("Never mind."),
    ]
    past.add(next_one.answered("Fine.").state)
    assert [message["role"] for message in chat(past.messages)] == [
        "user", "assistant", "tool", "tool", "user", "assistant",
    ]  # fmt: skip
    assert not past.pending


def test_a_late_response_answers_its_call() -> None:
    past = history(Turn("Weather?").infers("", call("c1"), call("c2")).awaits().abandoned())
    late = Turn([InputMessage(role="tool", call_id="c2", content="noon"), *said("Well?")])
    assert chat(questions_of(late.state, past.pending)) == [
        tool("c1", NOT_EXECUTED),
        tool("c2", "noon"),
        user("Well?"),
    ]
    alone = Turn(
        [
            InputMessage(role="tool", call_id="c2", content="noon"),
            InputMessage(role="tool", call_id="c1", content="rain"),
        ]
    )
    assert chat(questions_of(alone.state, past.pending)) == [tool("c1", "rain"), tool("c2", "noon")]


def test_a_late_response_outlives_the_turn_that_brought_it_and_failed() -> None:
    past = history(
        Turn("Weather?").infers("", call("c1"), call("c2")).awaits().abandoned(),
        Turn([InputMessage(role="tool", call_id="c2", content="noon"), *said("Well?")]).failed(),
    )
    assert chat(questions_of(Turn("Again?").state, past.pending)) == [
        tool("c1", NOT_EXECUTED),
        tool("c2", "noon"),
        user("Again?"),
    ]


def test_calls_of_a_turn_cancelled_while_it_waited_are_answered_too() -> None:
    past = history(Turn("Weather?").infers("", call("c1")).awaits().cancelled())
    assert list(past.pending) == ["c1"]


def test_documents_are_numbered_and_go_first() -> None:
    turn = Turn(
        said("What do they say?", "And why?"),
        [document("Alpha"), document([{"type": "text", "text": "Beta"}], 'text/"odd"')],
    )
    assert asked(turn) == user(
        '<document index="1" type="text/plain">\nAlpha\n</document>\n'
        '<document index="2" type="text/\\"odd\\"">\nBeta\n</document>\n\nWhat do they say?\n\nAnd why?'
    )


def test_documents_behind_urls_are_what_was_fetched() -> None:
    url = "https://example.org/a.txt"
    fetched = [FetchedContent(url, "text/plain", "From afar")]
    for content in ({"uri": url}, {"uri": url, "type": "url"}, url, f" {url}\n"):
        turn = Turn("What?", [document(content)], fetched)
        assert asked(turn) == user('<document index="1" type="text/plain">\nFrom afar\n</document>\n\nWhat?')
    inline = Turn("What?", [document({"uri": "data:text/plain;base64,QXQgaGFuZA=="})])
    assert asked(inline) == user('<document index="1" type="text/plain">\nAt hand\n</document>\n\nWhat?')


def test_images_in_documents_stand_where_they_stood() -> None:
    content = [
        {"type": "text", "text": "Before"},
        {"type": "image", "image": {"data": base64_of(GIF)}},
        {"type": "text", "text": "After"},
    ]
    assert asked(Turn("What?", [document(content)])) == user(
        [
            written('<document index="1" type="text/plain">\nBefore'),
            shown(data_url(GIF, "image/gif")),
            written("After\n</document>\n\nWhat?"),
        ]
    )


def test_images_become_data_urls_in_their_place() -> None:
    turn = Turn(
        said(
            [text("Between"), image(png()), text("these"), image_at(REMOTE), image_at(data_url(png(7)))],
            context="Hm.",
        ),
        fetched=FETCHED,
    )
    assert asked(turn) == user(
        [
            written("Between"),
            shown(data_url(png())),
            written("these"),
            shown(data_url(png())),
            shown(data_url(png(7))),
            written("Hm."),
        ]
    )


@pytest.mark.parametrize(
    ("body", "media_type"),
    [(png(), "image/png"), (JPEG, "image/jpeg"), (GIF, "image/gif"), (WEBP, "image/webp")],
)
def test_an_image_has_the_type_that_its_content_has(body: bytes, media_type: str) -> None:
    expected = user([shown(data_url(body, media_type))])
    assert asked(Turn(said(image(body)))) == expected
    escaped = "".join(f"%{byte:02x}" for byte in body)
    for url in (
        data_url(body, "image/x"),
        f"data:,{escaped}",
        data_url(body).replace("=", "%3D"),
        data_url(body).rstrip("="),
    ):
        assert asked(Turn(said(image_at(url)))) == expected, url


def test_a_remote_url_never_reaches_the_model() -> None:
    for url in (
        "file:///etc/passwd",
        "http://10.0.0.1/a.png",
        "https://example.org/never-fetched.png",
        "data:,x",
        "data:",
    ):
        turn = Turn(
            said([text("See"), image_at(url)]),
            [document({"uri": url}), document(7), Document({"uri": 1}, "x")],
        )
        message = asked(turn)
        assert url not in str(message) or url == "data:"
        assert "not available" in message["content"]
    assert "not available" in asked(Turn(said(ContentItem(type="image", image=ImageSource()))))["content"]


def test_images_of_tools_follow_their_responses() -> None:
    turn = Turn("Look.").infers("", call("c1"), call("c2")).awaits()
    turn.resumed([text("A chart."), image(png())], image_at(REMOTE), fetched=FETCHED)
    assert chat(answers_of(turn.state))[1:] == [
        tool("c1", "A chart."),
        tool("c2", "The tool returned images; they follow in the next message."),
        user(
            [
                written("Images that the tool call c1 returned:"),
                shown(data_url(png())),
                written("Images that the tool call c2 returned:"),
                shown(data_url(png())),
            ]
        ),
    ]


def test_images_of_late_responses_go_into_the_users_message() -> None:
    past = history(Turn("Look.").infers("", call("c1")).awaits().abandoned())
    late = InputMessage(role="tool", call_id="c1", content=[text("A chart."), image(png())])
    images = [written("Images that the tool call c1 returned:"), shown(data_url(png()))]
    alone = Turn([late])
    assert chat(questions_of(alone.state, past.pending)) == [tool("c1", "A chart."), user(images)]
    other = Turn([late, *said("Well?")])
    assert chat(questions_of(other.state, past.pending))[1] == user([*images, written("Well?")])


def test_instructions_may_say_where_the_tools_go() -> None:
    tools = [
        ToolDef(name="clock", description="The time."),
        ToolDef(name="weather", input_schema={"type": "object"}),
    ]
    config = AgentConfig(model="m", instructions="Use {{function_definitions}}.", client_tools=tools)
    assert chat(system_message(config, ToolConfig()))[0]["content"] == "Use {{function_definitions}}."
    offered, replace = ToolSet(tools), ToolConfig(system_message_behavior="replace")
    replaced = chat(system_message(config, replace, offered.functions))[0]["content"]
    assert replaced.startswith('Use [{"name":"clock","description":"The time."')
    assert system_message(AgentConfig(model="m", instructions=""), ToolConfig()) == []
    [clock, weather] = chat(offered.definitions)
    assert clock["function"] == {
        "name": "clock", "description": "The time.", "parameters": {"type": "object", "properties": {}},
    }  # fmt: skip
    assert weather["function"]["parameters"] == {"type": "object", "properties": {}}


class Log:
    """A session in a real log, and the conversations over it."""

    def __init__(self, folder: Path, max_bytes: int = 1 << 20) -> None:
        self.store = open_store(folder)
        self.conversations = Conversations(self.store, max_bytes)
        self.session = SessionState(agent_id="a", turns=())

    async def add(self, turn_id: str, turn: Turn | None = None) -> None:
        if turn is not None:
            write = StreamWrite(stream_name("turn", turn_id), 0, turn.events)
            await self.store.append(Append((write,)))
        self.session = SessionState(agent_id="a", turns=(*self.session.turns, turn_id))

    async def before(self, turn_id: str) -> list[dict[str, Any]]:
        return chat((await self.conversations.before("s", self.session, turn_id)).messages)


@pytest.mark.anyio
async def test_the_history_is_read_from_the_log_and_kept(tmp_path: Path) -> None:
    log = Log(tmp_path)
    first, second = Turn("One?").answered("1."), Turn("Two?").answered("2.")
    await log.add("t1", first)
    await log.add("t2", second)
    await log.add("t3")
    try:
        assert await log.before("t1") == []
        expected = [user("One?"), assistant("1."), user("Two?"), assistant("2.")]
        assert await log.before("t3") == expected
        log.conversations.add("s", log.session, "t2", second.state)
        assert await log.before("t3") == expected
        await log.add("t4")
        log.conversations.add("s", log.session, "t3", Turn("Three?").answered("3.").state)
        assert (await log.before("t4"))[4:] == [user("Three?"), assistant("3.")]
        log.conversations.forget("s")
        assert await log.before("t3") == expected
    finally:
        log.store.close()


@pytest.mark.anyio
async def test_a_turn_that_ends_while_its_session_is_read_is_in_once(tmp_path: Path) -> None:
    log = Log(tmp_path)
    turn = Turn("One?").answered("1.")
    await log.add("t1", turn)
    await log.add("t2")
    try:
        assert await log.before("t1") == []
        reading = log.before("t2")
        waiting = reading.send(None)
        log.conversations.add("s", log.session, "t1", turn.state)
        while not waiting.done():
            await asyncio.sleep(0)
        with pytest.raises(StopIteration) as ended:
            reading.send(None)
        assert ended.value.value == [user("One?"), assistant("1.")]
    finally:
        log.store.close()


@pytest.mark.anyio
async def test_large_turns_are_shown_whole_and_small_memory_forgets(tmp_path: Path) -> None:
    log = Log(tmp_path, max_bytes=1 << 16)
    picture = png(bytes_at_least=LARGE_INPUT_CHARACTERS)
    large = Turn(said(image(picture))).answered("A pixel.")
    await log.add("t1", large)
    await log.add("t2")
    try:
        for _ in range(2):
            log.conversations.add("s", log.session, "t1", large.state)
            assert await log.before("t2") == [user([shown(data_url(picture))]), assistant("A pixel.")]
        assert log.conversations._sessions.currsize == 0
    finally:
        log.store.close()
