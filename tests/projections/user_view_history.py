"""A small history in which every view has rows: events of agents, evaluations and datasets, and telemetry."""

from __future__ import annotations

from typing import Any

from tests.projections import histories as h
from tests.projections import training_history
from tests.projections.histories import Happening
from tests.projections.user_view_files import Request
from tests.telemetry.odd_requests import logs_request
from tests.telemetry.otlp_metrics import PlainPoint, metrics_request
from tests.telemetry.otlp_requests import BASE_NS, PlainSpan, trace_request

TRACE = 0x11


def turn(turn_id: str, name: str, **payload: Any) -> Happening:
    """An event of a turn; `name` is without `turn.` and the version."""
    return (f"turn/{turn_id}", f"turn.{name}.1", payload)


def call(call_id: str, tool_name: str = "search", arguments: str = '{"q": "cats"}') -> dict[str, str]:
    return {"call_id": call_id, "tool_name": tool_name, "arguments": arguments}


def asked(text: str, *calls: dict[str, str]) -> dict[str, Any]:
    return {**h.message(text), "stop_reason": "end_of_message", "tool_calls": list(calls)}


def inference(turn_id: str, step_id: str, output: dict[str, Any], **more: Any) -> list[Happening]:
    done = {"usage": {"input_tokens": 10, "output_tokens": 3}, "trace": {"lengths": [2], "delays_ms": [5]}}
    return [
        h.step_started(turn_id, step_id),
        turn(
            turn_id,
            "step_completed",
            **{"step_id": step_id, "step_type": "inference", "output": output} | done | more,
        ),
    ]


def verdict(turn_id: str, step_id: str, touchpoint: str, level: str = "") -> list[Happening]:
    said = {"violation": {"level": level, "user_message": "Not this."}} if level else {}
    kind = {"step_id": step_id, "step_type": "shield_call"}
    return [
        turn(turn_id, "step_started", **kind, attempt=1, touchpoint=touchpoint),
        turn(turn_id, "step_completed", **kind, **said),
    ]


def tool_step(
    turn_id: str, step_id: str, calls: list[dict[str, str]], results: list[str], raw: list[str] | None = None
) -> list[Happening]:
    """Calls of server-side tools. `results` are what the step holds, `raw` what the tools returned."""
    kind = {"step_id": step_id, "step_type": "tool_execution"}
    events = [turn(turn_id, "step_started", **kind, attempt=1, tool_calls=calls)]
    for one, result in zip(calls, raw or results, strict=True):
        where = {"call_id": one["call_id"], "tool_name": one["tool_name"]}
        called = {"step_id": step_id, "key": f"key-{one['call_id']}", "toolgroup": "web"}
        events.append(turn(turn_id, "tool_called", **where, **called, arguments=one["arguments"]))
        events.append(turn(turn_id, "tool_returned", **where, status="done", content=result))
    responses = [
        {"call_id": one["call_id"], "tool_name": one["tool_name"], "content": result}
        for one, result in zip(calls, results, strict=True)
    ]
    return [*events, turn(turn_id, "step_completed", **kind, tool_calls=calls, tool_responses=responses)]


def shielded_turn(turn_id: str, session_id: str, agent_id: str, text: str) -> list[Happening]:
    """The events that open a turn with input shields."""
    opened, (stream, name, payload) = h.turn_opened(turn_id, session_id, agent_id, text)
    assert isinstance(payload, dict)
    return [opened, (stream, name, {**payload, "input_shields": ["guard"], "agent_version": 2})]


def events() -> list[Happening]:
    """Agent a1 with sessions s1 and, as a fork of it, s2; a dataset, a benchmark, and a job over them."""
    waiting = {
        "request_id": "ask-1",
        "kind": "approval",
        "call_id": "c2",
        "tool_name": "send",
        "toolgroup": "mail",
        "arguments": "{}",
        "digest": "ab" * 32,
        "deadline": 1_790_000_100_000_000,
    }
    kind = {"step_id": "t2-b", "step_type": "tool_execution"}
    return [
        h.agent_created("a1"),
        h.agent_updated("a1", "Be kind."),
        h.session_created("s1", "a1"),
        *h.turn_opened("t1", "s1", "a1", "Find cats."),
        *inference("t1", "t1-a", asked("Searching.", call("c1"))),
        *tool_step("t1", "t1-b", [call("c1")], ["3 cats"]),
        *inference("t1", "t1-c", h.message("There are 3.")),
        *h.turn_completed("t1", "s1", "There are 3."),
        *h.session_forked("s2", "a1", "s1", ["t1"]),
        *h.turn_opened("t2", "s2", "a1", "Send mail."),
        *inference("t2", "t2-a", asked("", call("c2", "send", "{}"))),
        turn("t2", "step_started", **kind, attempt=1, tool_calls=[call("c2", "send", "{}")]),
        turn("t2", "input_requested", **waiting),
        turn("t2", "awaiting_input", output_message=asked("", call("c2", "send", "{}"))),
        *h.turn_opened("t3", "s1", "a1"),
        h.step_started("t3", "t3-a"),
        h.step_failed("t3", "t3-a"),
        *h.turn_failed("t3", "s1"),
        h.dataset_registered("data/0", 2),
        h.rows_appended("data/0", 2, 1),
        h.benchmark_registered("bench"),
        *h.job_scheduled("bench", "1", 2),
        h.job_started("bench", "1"),
        h.row_evaluated("bench", "1", 0),
        h.row_evaluated("bench", "1", 1, error="The model went away."),
        *h.job_ended("bench", "1"),
        *training_history.interrupted("training"),
    ]


def requests() -> list[Request]:
    """Two spans of one trace, one of them with an event; points of metrics; a log record."""
    resource = {"service.name": "shop"}
    child = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 7, "gen_ai.conversation.id": "s1"}
    spans = [
        PlainSpan(trace=TRACE, span=1, name="request", resource=resource, end_ns=BASE_NS + 2_000_000),
        PlainSpan(
            trace=TRACE,
            span=2,
            parent=1,
            name="chat",
            status=2,
            attributes=child,
            resource=resource,
            events=[(BASE_NS + 500, "retry", {"delay": 5})],
        ),
    ]
    points = [
        PlainPoint(metric="speed", value=1.5, time_ns=BASE_NS, labels={"of": "x"}, resource=resource),
        PlainPoint(metric="calls", kind="sum", value=7, time_ns=BASE_NS, start_ns=BASE_NS - 10),
        PlainPoint(metric="size", kind="histogram", value=(3, 6.0, [1.0], [1, 2]), time_ns=BASE_NS),
    ]
    return [
        ("traces", trace_request(spans)),
        ("metrics", metrics_request(points)),
        ("logs", logs_request()),
    ]
