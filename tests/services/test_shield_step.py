"""Shields in a turn: what they judge and when, what a refusal leaves, and that no verdict is asked for twice."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from schemas.events.base import Event
from schemas.events.payload import (
    CompletionMessage,
    Document,
    InputMessage,
    ToolCall,
    ToolResponse,
    Violation,
)
from schemas.events.turn import (
    TurnCancelled,
    TurnCompleted,
    TurnEffectSettled,
    TurnFailed,
    TurnStarted,
    TurnStepCompleted,
    TurnStepStarted,
    TurnToolReturned,
)
from stack.domain import turn as turns
from stack.domain.turn import TurnState, evolve
from stack.domain.turn_action import Complete, Infer, Retrieve, Shield, next_action
from stack.services.turns.conversation import History, answers_of
from tests.services.tool_turns import OWNER, Turning, Verdict

ANN = ("send", '{"to":"ann"}')
LOOK = ("look", "{}")
REFUSED = Violation("error", "No comment.", {"shield_id": "guard"})


def passing(touchpoint: str, texts: list[str]) -> Violation | None:
    return None


def refusing(word: str, at: str = "") -> Verdict:
    def verdict(touchpoint: str, texts: list[str]) -> Violation | None:
        found = at in ("", touchpoint) and any(word in text for text in texts)
        return REFUSED if found else None

    return verdict


def seen(turn: Turning) -> str:
    """Everything that readers of the stream saw."""
    return b"".join(frame.body for frame in turn.turn.live.after(turn.turn.live.gone)).decode()


def test_everything_that_goes_in_and_out_is_judged_in_its_order() -> None:
    turn = Turning([[ANN, LOOK]], verdict=passing)
    assert turn.run().status == "completed"
    assert turn.asked == [
        ("user-input", ["What?"]),
        ("assistant-output", ['send {"to":"ann"}', "look {}"]),
        ("tool-result", ["sent to ann", "sunny"]),
        ("assistant-output", ["Done."]),
    ]
    kinds = [step.step_type for step in turn.state.finished_steps]
    assert kinds == [
        "shield_call", "inference", "shield_call", "tool_execution", "shield_call", "inference", "shield_call",
    ]  # fmt: skip
    touchpoints = [event.touchpoint for event in turn.of(TurnStepStarted) if event.step_type == "shield_call"]
    assert touchpoints == [touchpoint for touchpoint, _ in turn.asked]
    turn.check()


def test_levels_below_an_error_are_recorded_and_end_nothing() -> None:
    warning = Violation("warn", "Careful.")
    turn = Turning([[ANN]], verdict=lambda touchpoint, texts: warning)
    state = turn.run()
    assert state.status == "completed" and state.output_message.content == "Done."
    judged = [step.violation for step in state.finished_steps if step.step_type == "shield_call"]
    assert judged == [warning] * 4
    turn.check()


def test_refused_input_reaches_no_model() -> None:
    turn = Turning([[ANN]], verdict=refusing("What?"))
    state = turn.run()
    assert state.output_message == CompletionMessage(content="No comment.", stop_reason="end_of_turn")
    assert state.status == "completed" and state.inferences == 0 and len(state.steps) == 1
    assert turn.tools.ran == {}
    turn.check()


@pytest.mark.parametrize("word", ["Done.", "ann", "send"])
def test_a_refused_answer_is_in_the_log_only(word: str) -> None:
    turn = Turning([[ANN]], verdict=refusing(word, "assistant-output"))
    state = turn.run()
    assert state.status == "completed" and state.output_message.content == "No comment."
    assert state.output_message.tool_calls is None
    [withheld] = [event.withheld for event in turn.of(TurnStepCompleted) if event.withheld]
    assert word in str(withheld)
    assert "Done." not in seen(turn)
    if word != "Done.":
        assert word not in seen(turn) and turn.tools.requests == [], "the call was not made"
    turn.check()


def test_arguments_hide_nothing_behind_escapes() -> None:
    turn = Turning([[("send", json.dumps({"to": ["caf\u00e9", {"\u00e9x": 1}]}))]], verdict=passing)
    turn.run()
    [texts] = [texts for touchpoint, texts in turn.asked[:2] if touchpoint == "assistant-output"]
    assert "caf\u00e9" in texts and "\u00e9x" in texts


def test_a_refused_result_of_a_tool_is_not_shown() -> None:
    turn = Turning([[ANN, LOOK]], verdict=refusing("sunny", "tool-result"))
    state = turn.run()
    assert state.status == "completed" and state.output_message.content == "No comment."
    assert state.inferences == 1
    assert turn.responses() == {"call_0_0": turns.WITHHELD, "call_0_1": turns.WITHHELD}
    assert "sunny" not in seen(turn)
    # The log has what happened.
    assert {event.content for event in turn.of(TurnToolReturned)} == {"sent to ann", "sunny"}
    turn.check()


def test_the_responses_of_client_tools_are_judged_on_resume() -> None:
    turn = Turning([[("weather", "{}")]], verdict=refusing("storm", "tool-result"))
    assert turn.run().status == "awaiting_input"
    state = turn.answer(call_0_0=("a storm", None))
    assert state.status == "completed" and state.inferences == 1
    assert state.output_message.content == "No comment."
    turn.check()
    other = Turning([[("weather", "{}")]], verdict=refusing("storm", "tool-result"))
    other.run()
    assert other.answer(call_0_0=("rain", None)).output_message.content == "Done."
    other.check()


def test_a_turn_that_is_broken_off_shows_no_results_that_were_not_judged() -> None:
    turn = Turning([[ANN, LOOK]], verdict=passing)
    turn.run()
    cut = next(
        index for index, (event, _, _) in enumerate(turn.events) if isinstance(event, TurnToolReturned)
    )
    state = TurnState()
    for event, recorded_at, version in turn.events[: cut + 1]:
        state = evolve(state, event, recorded_at, version)
    *_, end = turns.broken_off(state)
    assert isinstance(end, TurnStepCompleted) and end.tool_responses is not None
    assert {response.content for response in end.tool_responses} == {turns.WITHHELD}


@pytest.mark.parametrize("refused", ["", "What?", "sunny", "Done."])
def test_no_verdict_is_asked_for_twice_wherever_the_process_ends(refused: str) -> None:
    script = [[ANN, LOOK]]
    verdict = refusing(refused) if refused else passing
    whole = Turning(script, verdict=verdict)
    whole.run()
    for at in range(1, whole.crashes.passed + 1):
        turn = Turning(script, at, verdict=verdict)
        state = turn.run()
        assert state.status == "completed" and turn.boots == 2, at
        assert state.output_message == whole.state.output_message, at
        turn.check()
        recorded = [event for event in turn.of(TurnStepCompleted) if event.step_type == "shield_call"]
        assert len(recorded) == len(whole.asked), at
        assert len(turn.asked) <= len(recorded) + 1, at
        if refused and refused != "What?":
            assert refused not in seen(turn), at


def folded(*events: Event) -> TurnState:
    state = TurnState()
    for version, event in enumerate(events, 1):
        state = evolve(state, event, version, version)
    return state


def started(**fields: Any) -> TurnStarted:
    given = {"input_messages": [InputMessage(role="user", content="Question?")], "input_shields": ["guard"]}
    return TurnStarted(session_id="s", agent_id="a", owner=OWNER, **(given | fields))


def shielded(touchpoint: str, violation: Violation | None = None, id: str = "") -> list[Event]:
    step_id = f"shield {touchpoint}{id}"
    return [
        TurnStepStarted(step_id=step_id, step_type="shield_call", attempt=1, touchpoint=touchpoint),
        TurnStepCompleted(step_id=step_id, step_type="shield_call", violation=violation),
    ]


def said(text: str, *calls: ToolCall, withheld: CompletionMessage | None = None) -> list[Event]:
    output = CompletionMessage(content=text, stop_reason="end_of_turn", tool_calls=list(calls) or None)
    return [
        TurnStepStarted(step_id=text, step_type="inference", attempt=1),
        TurnStepCompleted(step_id=text, step_type="inference", output=output, withheld=withheld),
    ]


ENDED = TurnCompleted(output_message=CompletionMessage(content="No.", stop_reason="end_of_turn"))
CALL = ToolCall("c", "weather", "{}")
RESULT = turns.executed("tools", 1, [CALL], [ToolResponse("c", "weather", "poison")])
DOCUMENT = Document(content="A document.", mime_type="text/plain")
LATER = folded(started(input_messages=[InputMessage(role="user", content="Later?")]), *shielded("user-input"))


def history_after(*states: TurnState) -> list[dict[str, Any]]:
    history = History()
    for state in states:
        history.add(state)
    return [json.loads(bytes(message)) for message in history.messages]


def test_documents_are_judged_after_the_question_and_before_the_model() -> None:
    begun = started(documents=[DOCUMENT])
    assert next_action(folded(begun), (), 5) == Shield("user-input")
    assert next_action(folded(begun, *shielded("user-input")), (), 5) == Shield("retrieved-text")
    assert next_action(folded(begun, *shielded("user-input")), (), 5, (), (1,)) == Retrieve((1,))
    judged = folded(begun, *shielded("user-input"), *shielded("retrieved-text"))
    assert next_action(judged, (), 5) == Infer()
    refused = folded(begun, *shielded("user-input"), *shielded("retrieved-text", REFUSED))
    assert isinstance(next_action(refused, (), 5), Complete)
    assert next_action(folded(started(input_shields=None, documents=[DOCUMENT])), (), 5) == Infer()


def test_a_step_that_was_cut_off_is_judged_again() -> None:
    cut = folded(started(), shielded("user-input")[0])
    assert next_action(cut, (), 5) == Shield("user-input")


@pytest.mark.parametrize(
    "events",
    [
        [started(), *shielded("user-input", REFUSED), ENDED],
        [started(documents=[DOCUMENT]), *shielded("user-input"), *shielded("retrieved-text", REFUSED), ENDED],
        [started(), shielded("user-input")[0], TurnCancelled(reason="", output_message=turns.NOTHING_YET)],
        [started(), ENDED],
    ],
)
def test_a_turn_whose_input_did_not_pass_is_not_in_the_history(events: list[Event]) -> None:
    assert history_after(folded(*events)) == []


def test_responses_in_input_that_did_not_pass_answer_nothing() -> None:
    asks = folded(started(), *shielded("user-input"), *said("", CALL), *shielded("assistant-output"))
    late = [InputMessage(role="tool", call_id="c", content="poison")]
    after = folded(started(input_messages=late), *shielded("user-input", REFUSED), ENDED)
    messages = history_after(asks, after, LATER)
    assert [message["role"] for message in messages] == ["user", "assistant"]
    assert "poison" not in str(messages)


def test_later_turns_see_a_refused_answer_as_it_was_answered() -> None:
    secret = CompletionMessage(content="poison", stop_reason="end_of_turn", tool_calls=[CALL])
    state = folded(
        started(),
        *shielded("user-input"),
        *said("", withheld=secret),
        *shielded("assistant-output", REFUSED),
        ENDED,
    )
    assert history_after(state) == [
        {"role": "user", "content": "Question?"},
        {"role": "assistant", "content": "No."},
    ]


@pytest.mark.parametrize(
    "judgement", [[], shielded("tool-result", REFUSED), shielded("tool-result")[:1]], ids=str
)
def test_results_that_did_not_pass_are_not_in_the_history(judgement: list[Event]) -> None:
    events = [started(), *shielded("user-input"), *said("Let me see.", CALL), *shielded("assistant-output")]
    failed = TurnFailed(error=None, output_message=turns.NOTHING_YET)  # type: ignore[arg-type]
    state = folded(*events, *RESULT, *judgement, ENDED if len(judgement) == 2 else failed)
    messages = history_after(state)
    assert "poison" not in str(messages)
    result = {"role": "tool", "tool_call_id": "c", "content": turns.WITHHELD}
    assert messages[2] == result
    assert [message["role"] for message in messages[3:]] == (["assistant"] if len(judgement) == 2 else [])
    judged = folded(*events, *RESULT, *shielded("tool-result"))
    assert "poison" in str([bytes(message) for message in answers_of(judged)])


def test_the_result_of_a_settling_retry_is_not_seen_because_no_shield_has_judged_it() -> None:
    events = [started(), *shielded("user-input"), *said("", CALL), *shielded("assistant-output"), *RESULT]
    events += [*shielded("tool-result"), ENDED]
    for decision, shown in (("retry", turns.WITHHELD), ("done", "settled"), ("failed", "settled")):
        settled = TurnEffectSettled(
            session_id="s", call_id="c", decision=decision, status="done", content="settled"
        )
        assert history_after(folded(*events, settled))[2]["content"] == shown


def test_open_calls_of_a_refused_turn_have_responses() -> None:
    """A client's tool waits while a result of the server's is refused: each call has a response, in its place."""
    other = ToolCall("d", "clock", "{}")
    state = folded(
        started(),
        *shielded("user-input"),
        *said("", CALL, other),
        *shielded("assistant-output"),
        *RESULT,
        *shielded("tool-result", REFUSED),
        ENDED,
    )
    messages = history_after(state, LATER)
    roles = Counter(message["role"] for message in messages)
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "tool", "assistant"]
    assert roles["tool"] == 2 and messages[3]["content"] == turns.NOT_EXECUTED
