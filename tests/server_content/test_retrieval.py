"""Long documents of a turn: what is retrieved reaches the model, the stream, the turn, and later turns."""

from __future__ import annotations

from typing import Any

from tests.server.api import Api, Conversation, kinds
from tests.server.process import wait_until
from tests.server_content.conftest import FreshServer
from tests.server_content.test_content import sent
from tests.servers.processes import RunningServer

FILLER = "\n\n".join(f"Paragraph {number} says nothing of interest here." for number in range(6000))
FERRY = "The ferry to the island leaves at noon."
HARBOUR = "The harbour opens at ten."
QUESTION = "When does the ferry leave, and when does the harbour open?"


def document(content: Any, mime_type: str = "text/plain") -> dict[str, Any]:
    return {"content": content, "mime_type": mime_type}


LONG = [
    document(f"{FILLER}\n\n{FERRY}", "text/markdown"),
    document("A short note."),
    document([{"type": "text", "text": HARBOUR}, {"type": "text", "text": FILLER}]),
]


def said_to(scripted: RunningServer) -> str:
    """The text of the last message that the model server got."""
    content = sent(scripted)[-1]["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def test_passages_of_long_documents_are_recorded_and_sent(api: Api, scripted: RunningServer) -> None:
    conversation = api.conversation()
    with conversation.streaming(QUESTION, documents=LONG) as stream:
        frames = list(stream)
    assert kinds(frames)[:4] == ["turn_start", "step_start", "step_complete", "step_start"]
    begun, done = frames[1].payload, frames[2].payload
    assert (begun["step_type"], done["step_type"]) == ("memory_retrieval", "memory_retrieval")
    step = done["step_details"]
    assert step["vector_db_ids"] == "document:1,document:3" and step["step_id"] == begun["step_id"]
    inserted = step["inserted_context"]
    assert inserted.startswith('<document index="1" type="text/markdown">\n')
    assert FERRY in inserted and HARBOUR in inserted and len(inserted) < 40_000
    turn_id = conversation.only_turn_id()
    shown = conversation.get(turn_id).json()
    assert [one["step_type"] for one in shown["steps"]] == ["memory_retrieval", "inference"]
    assert shown["steps"][0] == step and shown == frames[-1].payload["turn"]
    assert conversation.get(turn_id, f"/step/{step['step_id']}").json() == {"step": step}
    assert conversation.replay(turn_id).content == stream.rest()
    said = said_to(scripted)
    assert said.startswith('<document index="2" type="text/plain">') and "A short note." in said
    assert inserted in said and said.endswith(QUESTION)


def test_later_turns_see_what_was_recorded(
    api: Api, scripted: RunningServer, fresh_server: FreshServer
) -> None:
    server = fresh_server()
    with server.http() as http:
        conversation = Api(http).conversation()
        conversation.turn(QUESTION, documents=LONG)
        first = sent(scripted)
        conversation.turn("And now?")
        assert sent(scripted)[: len(first)] == first
    server.stop()
    # With another limit, which does not change the past.
    server = fresh_server(max_context_document_characters=1_000_000)
    with server.http() as http:
        later = Conversation(Api(http), conversation.agent_id, conversation.session_id)
        later.turn("And then?")
        assert sent(scripted)[: len(first)] == first


def test_short_documents_stay_in_the_context(api: Api, scripted: RunningServer) -> None:
    conversation = api.conversation()
    turn = conversation.turn(QUESTION, documents=[document(FILLER[:100_000]), document(FERRY)])
    assert [step["step_type"] for step in turn["steps"]] == ["inference"]
    assert FILLER[:100_000] in said_to(scripted)


def test_without_a_matching_passage_the_model_gets_the_beginning(api: Api, scripted: RunningServer) -> None:
    turn = api.conversation().turn("Zusammenfassung!", documents=[document("Start. " + FILLER)])
    assert turn["steps"][0]["inserted_context"].startswith('<document index="1" type="text/plain">\nStart. ')


def test_a_document_of_megabytes(api: Api) -> None:
    text = FILLER * 24 + HARBOUR
    assert len(text) > 6_000_000
    turn = api.conversation("demo/extractive").turn("When does the harbour open?", documents=[document(text)])
    assert HARBOUR in turn["output_message"]["content"]


def test_a_server_that_was_killed_retrieves_again(fresh_server: FreshServer) -> None:
    server = fresh_server()
    with server.http() as http:
        conversation = Api(http).conversation()
        with conversation.streaming(QUESTION, documents=LONG) as stream:
            stream.until("step_start")
            server.kill9()
    server.start()
    with server.http() as http:
        later = Conversation(Api(http), conversation.agent_id, conversation.session_id)
        turn_id = later.only_turn_id()
        wait_until(lambda: later.outcome(turn_id)["status"] == "completed")
        steps = later.get(turn_id).json()["steps"]
    assert [step["step_type"] for step in steps] == ["memory_retrieval", "inference"]
    assert FERRY in steps[0]["inserted_context"]
