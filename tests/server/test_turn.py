"""Turns over HTTP, answered whole."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest

from tests.server.api import ANSWER, TEXT, TIME, UUID, Api, Conversation, check_error
from tests.server.conftest import FreshServer
from tests.server.process import wait_until
from tests.servers.processes import RunningServer


def received(turn: dict[str, Any]) -> dict[str, Any]:
    """The request that the model `echo` got: it is what it answers."""
    request: dict[str, Any] = json.loads(turn["output_message"]["content"])
    return request


def test_a_first_turn(conversation: Conversation) -> None:
    answer = conversation.post("What comes?")
    assert answer.status_code == 200
    assert answer.headers["x-turn-status"] == "completed"
    assert answer.headers["content-type"] == "application/json"
    turn = answer.json()
    assert set(turn) == {
        "turn_id", "session_id", "input_messages", "steps", "output_message", "started_at", "completed_at",
    }  # fmt: skip
    assert UUID.fullmatch(turn["turn_id"]) and turn["session_id"] == conversation.session_id
    assert turn["input_messages"] == [{"role": "user", "content": "What comes?"}]
    assert turn["output_message"] == {"role": "assistant", "content": ANSWER, "stop_reason": "end_of_turn"}
    [step] = turn["steps"]
    assert set(step) == {"step_type", "turn_id", "step_id", "started_at", "completed_at", "model_response"}
    assert step["step_type"] == "inference" and step["turn_id"] == turn["turn_id"]
    assert step["model_response"] == turn["output_message"]
    times = [turn["started_at"], step["started_at"], step["completed_at"], turn["completed_at"]]
    assert all(TIME.fullmatch(moment) for moment in times)
    assert times == sorted(set(times)), "times strictly increase"

    shown = conversation.get(turn["turn_id"])
    assert shown.json() == turn and shown.headers["x-turn-status"] == "completed"
    assert conversation.get(turn["turn_id"], f"/step/{step['step_id']}").json() == {"step": step}
    outcome = conversation.get(turn["turn_id"], "/outcome")
    usage = {"input_tokens": 7, "output_tokens": 3}
    assert outcome.json() == {"status": "completed", "usage": usage, "agent_version": 1}
    assert outcome.headers["x-turn-status"] == "completed"
    assert conversation.show()["turns"] == [turn]


@pytest.mark.parametrize("body", [{"stream": False}, {"stream": None}, {}])
def test_a_turn_is_whole_unless_the_body_asks_for_a_stream(
    conversation: Conversation, body: dict[str, Any]
) -> None:
    answer = conversation.post(headers={"accept": "text/event-stream"}, **body)
    assert answer.json()["output_message"]["content"] == ANSWER


def test_unknown_turns_and_steps(conversation: Conversation) -> None:
    turn = conversation.turn()
    for suffix in ("", "/outcome", "/stream", "/step/nope"):
        check_error(conversation.get("nope", suffix), 404, "nope")
    check_error(conversation.get(turn["turn_id"], "/step/nope"), 404, "nope")
    check_error(conversation.cancel("nope"), 404, "nope")
    other = conversation.api.conversation()
    for suffix in ("", "/outcome", "/stream", f"/step/{turn['steps'][0]['step_id']}"):
        check_error(other.get(turn["turn_id"], suffix), 404)
    check_error(Conversation(conversation.api, conversation.agent_id, "nope").post(), 404, "nope")
    check_error(Conversation(conversation.api, "nope", conversation.session_id).post(), 404, "nope")


def test_the_conversation_so_far_reaches_the_model(api: Api) -> None:
    conversation = api.conversation("scripted/echo", instructions="Be brief.")
    first = conversation.turn("one")
    assert received(first)["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "one"},
    ]
    second = conversation.turn("two")
    said = {"role": "assistant", "content": first["output_message"]["content"]}
    assert received(second)["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "one"},
        said,
        {"role": "user", "content": "two"},
    ]


def test_another_session_has_a_history_of_its_own(api: Api) -> None:
    conversation = api.conversation("scripted/echo")
    conversation.turn("secret of the first session")
    other = Conversation(api, conversation.agent_id, api.create_session(conversation.agent_id))
    assert "secret" not in other.turn("hello")["output_message"]["content"]


def test_a_turn_that_failed_is_not_in_the_history(api: Api, scripted: RunningServer) -> None:
    conversation = api.conversation("scripted/echo")
    scripted.queue("status;code=500")
    check_error(conversation.post("lost question"), 502)
    assert received(conversation.turn("asked again"))["messages"] == [
        {"role": "user", "content": "asked again"}
    ]


@pytest.mark.parametrize(
    ("sampling", "sent"),
    [
        (None, {"temperature": 0}),
        ({}, {"temperature": 0}),
        ({"strategy": {"type": "greedy"}}, {"temperature": 0}),
        (
            {"strategy": {"type": "top_p", "temperature": 0.7, "top_p": 0.5}},
            {"temperature": 0.7, "top_p": 0.5},
        ),
        ({"strategy": {"type": "top_k", "top_k": 5}}, {"top_k": 5}),
        ({"temperature": 0.25}, {"temperature": 0.25}),
        ({"max_tokens": 0}, {"temperature": 0}),
        ({"repetition_penalty": 1.5}, {"temperature": 0, "repetition_penalty": 1.5}),
        ({"stop": ["END"]}, {"temperature": 0, "stop": ["END"]}),
    ],
)
def test_sampling_parameters_reach_the_model(
    api: Api, sampling: dict[str, Any] | None, sent: dict[str, Any]
) -> None:
    request = received(api.conversation("scripted/echo", sampling_params=sampling).turn())
    names = ("temperature", "top_p", "top_k", "max_tokens", "repetition_penalty", "repeat_penalty", "stop")
    assert {name: request[name] for name in names if name in request} == sent


def test_max_tokens_reaches_the_model(api: Api) -> None:
    request = received(api.conversation("scripted/echo", sampling_params={"max_tokens": 9}).turn())
    assert 9 in (request.get("max_tokens"), request.get("max_completion_tokens"))


def test_top_k_without_a_counterpart_is_refused(api: Api) -> None:
    conversation = api.conversation(
        "demo/extractive", sampling_params={"strategy": {"type": "top_k", "top_k": 5}}
    )
    check_error(conversation.post(), 400, "top_k")
    assert conversation.show()["turns"] == []


def test_content_in_pieces_and_documents_reach_the_model(api: Api) -> None:
    conversation = api.conversation("scripted/echo")
    messages: list[Any] = [
        {
            "role": "user",
            "content": [{"type": "text", "text": "part one"}, {"type": "text", "text": "part two"}],
        },
        {"role": "user", "content": {"type": "text", "text": "single"}, "context": "the context"},
    ]
    documents = [
        {"content": "a whole document", "mime_type": "text/plain", "document_id": "d1", "metadata": {"k": 1}},
        {"content": [{"type": "text", "text": "a list"}], "mime_type": "text/plain"},
    ]
    turn = conversation.turn(messages, documents=documents)
    said = str(received(turn)["messages"])
    for part in ("part one", "part two", "single", "the context", "a whole document", "a list"):
        assert part in said
    assert turn["input_messages"] == messages


def test_null_fields_of_a_turn_are_absent(conversation: Conversation) -> None:
    message = {"role": "user", "content": "hi", "context": None}
    turn = conversation.turn([message], stream=None, documents=None, toolgroups=None, tool_config=None)
    assert turn["input_messages"] == [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("messages", "mention"),
    [
        ([], "messages"),
        ([{"role": "assistant", "content": "x"}], "messages[0]"),
        ([{"role": "user"}], "content"),
        ([{"role": "user", "content": 7}], "messages[0].content"),
        ([{"role": "user", "content": "x", "name": "y"}], "name"),
        ([{"role": "tool", "call_id": "call_9", "content": "x"}], "messages[0].call_id"),
        (
            [{"role": "user", "content": {"type": "image", "image": {"url": {"uri": "file:///etc/passwd"}}}}],
            "image",
        ),
        ([{"role": "user", "content": {"type": "video"}}], "messages[0].content"),
    ],
)
def test_messages_that_no_turn_begins_with(
    conversation: Conversation, messages: list[Any], mention: str
) -> None:
    check_error(conversation.post(messages), 400, mention)
    assert conversation.show()["turns"] == []
    conversation.turn("the session is not wedged")


@pytest.mark.parametrize(
    ("model", "status"),
    [
        ("scripted/status;code=400;message=nonsense", 400),
        ("scripted/status;code=401", 502),
        ("scripted/status;code=403", 502),
        ("scripted/status;code=404", 502),
        ("scripted/status;code=429;retry_after=7", 429),
        ("scripted/status;code=500", 502),
        ("scripted/status;code=503;retry_after=3", 503),
        ("scripted/drop", 502),
        ("scripted/html", 502),
        ("scripted/redirect", 502),
        ("impatient/mute", 504),
        ("impatient/silent", 504),
        ("impatient/stall;chunks=2", 504),
        ("scripted/cut;chunks=2;gap_ms=30", 502),
        ("scripted/malformed;chunks=2", 502),
        ("scripted/error;chunks=2", 502),
        ("scripted/text;chunks=2;reason=content_filter", 502),
        ("scripted/huge-line", 502),
    ],
)
def test_a_fault_of_the_model_has_its_status(api: Api, model: str, status: int) -> None:
    conversation = api.conversation(model)
    answer = conversation.post()
    error = check_error(answer, status)
    turn_id = conversation.only_turn_id()
    assert error["instance"] == f"{conversation.path}/turn/{turn_id}"
    if status == 429:
        assert answer.headers["retry-after"] == "7"
    if status == 503:
        assert answer.headers["retry-after"] == "3"

    shown = conversation.get(turn_id)
    assert shown.headers["x-turn-status"] == "failed"
    turn = shown.json()
    assert turn["completed_at"] and turn["output_message"]["stop_reason"] == "end_of_turn"
    outcome = conversation.outcome(turn_id)
    assert outcome["status"] == "failed"
    assert outcome["error"] == {name: error[name] for name in ("status", "title", "detail")}
    if "chunks=2" in model:
        assert turn["output_message"]["content"] == "The answer"
        assert turn["steps"] == []
        assert (status != 502) or answer.headers["x-should-retry"] == "false"


def test_a_session_goes_on_after_a_failed_turn(api: Api, scripted: RunningServer) -> None:
    conversation = api.conversation()
    scripted.queue("cut;chunks=1")
    check_error(conversation.post(), 502)
    assert conversation.turn("again")["output_message"]["content"] == ANSWER
    assert [turn["output_message"]["content"] for turn in conversation.show()["turns"]] == ["The", ANSWER]


def test_an_answer_cut_at_its_limit_says_so(api: Api) -> None:
    turn = api.conversation("scripted/text;chunks=3;reason=length").turn()
    assert turn["output_message"] == {"role": "assistant", "content": ANSWER, "stop_reason": "out_of_tokens"}


@pytest.mark.parametrize(
    "model", ["scripted/no-usage", "scripted/no-done", "scripted/no-finish", "scripted/text;coalesce=1"]
)
def test_servers_that_leave_something_out_are_understood(api: Api, model: str) -> None:
    assert api.conversation(model).turn()["output_message"]["content"] == ANSWER


def test_an_answer_must_fit_its_response_format(api: Api) -> None:
    schema = {"type": "object", "properties": {"model": {"type": "string"}}, "required": ["model"]}
    wanted = {"type": "json_schema", "json_schema": schema}
    fitting = api.conversation("scripted/echo", response_format=wanted).turn()
    assert received(fitting)["response_format"]["json_schema"]["schema"] == schema

    misfit = api.conversation(TEXT, response_format=wanted)
    answer = misfit.post()
    check_error(answer, 502, "response_format")
    assert answer.headers["x-should-retry"] == "false"
    assert misfit.show()["turns"][0]["output_message"]["content"] == ANSWER


def test_a_second_turn_while_one_runs_is_a_conflict(api: Api) -> None:
    conversation = api.conversation("scripted/stall;chunks=2")
    with conversation.streaming() as stream:
        stream.until("step_progress")
        turn_id = conversation.only_turn_id()
        check_error(conversation.post("me too"), 409, turn_id)
        check_error(conversation.post("me too", stream=True), 409, turn_id)
        [running] = conversation.show()["turns"]
        assert running["output_message"] == {
            "role": "assistant", "content": "", "stop_reason": "end_of_message",
        }  # fmt: skip
        assert "completed_at" not in running
        shown = conversation.get(turn_id)
        assert shown.json() == running and shown.headers["x-turn-status"] == "running"
        assert conversation.outcome(turn_id)["status"] == "running"
        assert conversation.cancel(turn_id).status_code == 200
    assert len(conversation.show()["turns"]) == 1


@pytest.mark.parametrize("model", ["scripted/mute", "scripted/silent", "scripted/stall;chunks=2"])
def test_a_cancelled_turn_ends_although_its_model_hangs(
    api: Api, scripted: RunningServer, model: str
) -> None:
    conversation = api.conversation(model)
    answers: list[Any] = []
    with conversation.http.__class__(base_url=conversation.http.base_url, trust_env=False, timeout=30) as own:
        waiting = Conversation(Api(own), conversation.agent_id, conversation.session_id)
        thread = threading.Thread(target=lambda: answers.append(waiting.post()))
        thread.start()
        [turn] = wait_until(lambda: conversation.show()["turns"])
        wait_until(lambda: scripted.counts()["requests"])
        began = time.monotonic()
        cancelled = conversation.cancel(turn["turn_id"])
        assert cancelled.status_code == 200 and cancelled.content == b""
        assert time.monotonic() - began < 20.0
        thread.join(60)
    [answer] = answers
    assert answer.status_code == 200 and answer.headers["x-turn-status"] == "cancelled"
    ended = answer.json()
    assert ended["completed_at"] and ended["steps"] == []
    assert ended["output_message"]["stop_reason"] == "end_of_turn"
    assert ended["output_message"]["content"] in ("", "The answer")
    assert conversation.get(turn["turn_id"]).json() == ended
    assert conversation.outcome(turn["turn_id"])["status"] == "cancelled"
    assert conversation.cancel(turn["turn_id"]).status_code == 200
    assert conversation.get(turn["turn_id"]).json() == ended
    wait_until(lambda: scripted.counts()["disconnects"])


def test_cancelling_a_turn_that_has_ended_changes_nothing(conversation: Conversation) -> None:
    turn = conversation.turn()
    assert conversation.cancel(turn["turn_id"]).status_code == 200
    assert conversation.get(turn["turn_id"]).json() == turn
    assert conversation.outcome(turn["turn_id"])["status"] == "completed"


@pytest.mark.slow
def test_deadline_and_limit_of_running_turns(fresh_server: FreshServer) -> None:
    with fresh_server(turn_deadline_s=1.0, max_running_turns=1).http() as client:
        api = Api(client)
        slow = api.conversation("scripted/stall;chunks=2")
        other = api.conversation()
        with slow.streaming() as stream:
            stream.until("step_progress")
            check_error(other.post(), 503, "turns are running")
            last = list(stream)[-1]
        assert last.kind == "error" and last.value["error"]["status"] == 504
        assert "deadline" in last.value["error"]["detail"]
        [turn] = slow.show()["turns"]
        assert turn["output_message"]["content"] == "The answer"
        assert slow.outcome(turn["turn_id"])["error"]["status"] == 504
        check_error(slow.post(), 504, "deadline")
        assert other.turn()["output_message"]["content"] == ANSWER


def test_a_client_that_leaves_does_not_stop_its_turn(api: Api, scripted: RunningServer) -> None:
    conversation = api.conversation("scripted/text;chunks=3;first_ms=500")
    with conversation.http.__class__(base_url=conversation.http.base_url, trust_env=False) as leaving:
        gone = Conversation(Api(leaving), conversation.agent_id, conversation.session_id)
        with pytest.raises(Exception, match="timed out"):
            leaving.post(
                f"{gone.path}/turn", json={"messages": [{"role": "user", "content": "x"}]}, timeout=0.2
            )
    [turn] = conversation.show()["turns"]
    ended = wait_until(
        lambda: (found := conversation.get(turn["turn_id"]).json()).get("completed_at") and found
    )
    assert ended["output_message"]["content"] == ANSWER
    assert scripted.counts()["requests"] == 1


def test_the_embedded_model_answers_from_documents(api: Api) -> None:
    conversation = api.conversation("demo/extractive")
    document = {"content": "The harbour of Piran closes at nine in the evening.", "mime_type": "text/plain"}
    turn = conversation.turn("When does the harbour close?", documents=[document])
    assert "nine" in turn["output_message"]["content"]
    again = conversation.api.conversation("demo/extractive")
    same = again.turn("When does the harbour close?", documents=[document])
    assert same["output_message"] == turn["output_message"]


def test_models_and_health_outside_of_the_specification(api: Api) -> None:
    models = api.http.get("/v1/models").json()["data"]
    assert {"scripted", "demo"} <= {model["provider_id"] for model in models}
    assert api.http.get("/v1/health").json() == {"status": "OK"}
    assert set(api.http.get("/v1/version").json()) == {"version"}
