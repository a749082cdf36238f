"""The results of the query functions for recorded events."""

from __future__ import annotations

import json

from projections import agent, session, turn
from projections.warehouse.engine import Engine
from projections.warehouse.instance import Warehouse
from projections.warehouse.reader import HydratingReader, Reader
from schemas.api.turn import InferenceStep, Step, ToolExecutionStep, TurnUsage
from tests.projections import histories as h
from tests.projections.feeds import START_US, ListFeed

View = tuple[Warehouse, Engine]


def follow(view: View, position: int) -> Warehouse:
    warehouse, engine = view
    engine.reached_blocking(position, 10)
    return warehouse


def step_of(reader: Reader, step_id: str) -> Step | None:
    """A step of turn t1."""
    view = turn.get(reader, "a1", "s1", "t1")
    assert view is not None
    return next((step for step in view.turn.steps if step.step_id == step_id), None)


def test_agents_come_in_pages_in_the_order_of_creation(view: View, feed: ListFeed) -> None:
    feed.append(*[h.agent_created(f"a{i}") for i in (3, 1, 2, 5, 4)])
    reader = follow(view, feed.append(h.agent_deleted("a2")))
    everything, more = agent.page(reader)
    assert ([a.agent_id for a in everything], more) == (["a3", "a1", "a5", "a4"], False)
    some, more = agent.page(reader, 1, 2)
    assert ([a.agent_id for a in some], more) == (["a1", "a5"], True)
    assert agent.page(reader, 2, 2)[1] is False
    assert agent.page(reader, 0, 0) == ([], True)
    assert agent.page(reader, 9, 1) == ([], False)


def test_an_agent_is_as_it_was_created(view: View, feed: ListFeed) -> None:
    reader = follow(view, feed.append(h.agent_created("a1")))
    found = agent.get(reader, "a1")
    assert found is not None
    config, created_at = found.agent.agent_config, found.agent.created_at
    assert (config.instructions, created_at, found.version) == ("Be a1.", "2026-09-21T14:13:20.000001Z", 1)
    assert agent.get(reader, "a2") is None
    assert agent.get(reader, "' OR true --") is None


def test_the_versions_of_an_agent(view: View, feed: ListFeed) -> None:
    feed.append(h.agent_created("a1"), h.agent_created("a2"))
    second = feed.append(h.agent_updated("a1", "Be kind."))
    reader = follow(view, feed.append(h.agent_updated("a1", "Be wise."), h.agent_created("a3")))

    def said(version: int = 0, as_of: int | None = None) -> tuple[str, str, int] | None:
        found = agent.get(reader, "a1", version, as_of)
        return found and (found.agent.agent_config.instructions, found.agent.created_at, found.version)

    created_at = "2026-09-21T14:13:20.000001Z"
    assert said() == said(3) == ("Be wise.", created_at, 3)
    assert said(1) == said(as_of=second - 1) == ("Be a1.", created_at, 1)
    assert said(2) == said(as_of=second) == ("Be kind.", created_at, 2)
    assert said(4) is said(3, as_of=second) is said(as_of=0) is None

    def instructions(as_of: int | None = None) -> list[str]:
        return [one.agent_config.instructions for one in agent.page(reader, as_of=as_of)[0]]

    assert instructions() == ["Be wise.", "Be a2.", "Be a3."]
    assert instructions(second) == ["Be kind.", "Be a2."]
    assert [one.agent_id for one in agent.page(reader, unreadable=["a2"])[0]] == ["a1", "a3"]
    versions, more = agent.versions_page(reader, "a1", 1, 1)
    assert ([one.version for one in versions], more) == ([2], True)
    versions, more = agent.versions_page(reader, "a1")
    assert ([one.agent_config.instructions for one in versions], more) == (
        ["Be a1.", "Be kind.", "Be wise."],
        False,
    )
    assert [one.actor for one in versions] == ["key-1", "key-3", "key-3"]
    with view[0].write() as transaction:
        newest = transaction.rows(
            "SELECT version, config ->> '$.instructions' FROM views.build_1.agents ORDER BY agent_id"
        )
    assert newest == [(3, "Be wise."), (1, "Be a2."), (1, "Be a3.")]
    follow(view, feed.append(h.agent_deleted("a1")))
    assert said(2) is None and agent.versions_page(reader, "a1") == ([], False)


def test_a_session_has_its_turns_in_the_order_of_opening(view: View, feed: ListFeed) -> None:
    feed.append(h.agent_created("a1"), h.session_created("s1", "a1"), h.session_created("s2", "a1"))
    feed.append(*h.whole_turn("t9", "s1", "a1", steps=2))
    feed.append(*h.whole_turn("t5", "s2", "a1"))
    reader = follow(view, feed.append(*h.turn_opened("t1", "s1", "a1"), h.step_started("t1", "x")))
    found = session.get(reader, "a1", "s1")
    assert found is not None
    assert (found.session_name, [t.turn_id for t in found.turns]) == ("About s1", ["t9", "t1"])
    done, running = found.turns
    assert [step.step_id for step in done.steps] == ["t9-step-1", "t9-step-2"]
    assert done.output_message.content == "All of t9"
    assert done.completed_at is not None
    assert (running.steps, running.output_message.content, running.completed_at) == ([], "", None)
    assert running.output_message.stop_reason == "end_of_message"


def test_a_session_is_filtered_by_turn_ids(view: View, feed: ListFeed) -> None:
    feed.append(h.agent_created("a1"), h.session_created("s1", "a1"))
    for i in range(4):
        position = feed.append(*h.whole_turn(f"t{i}", "s1", "a1"))
    reader = follow(view, position)
    some = session.get(reader, "a1", "s1", ["t3", "t1", "unknown"])
    none = session.get(reader, "a1", "s1", [])
    assert some is not None
    assert none is not None
    assert [t.turn_id for t in some.turns] == ["t1", "t3"]
    assert none.turns == []


def test_sessions_and_turns_are_found_only_where_they_belong(view: View, feed: ListFeed) -> None:
    feed.append(h.agent_created("a1"), h.agent_created("a2"), h.session_created("s1", "a1"))
    reader = follow(view, feed.append(*h.whole_turn("t1", "s1", "a1")))
    assert session.get(reader, "a2", "s1") is None
    assert session.get(reader, "a1", "s2") is None
    assert turn.get(reader, "a2", "s1", "t1") is None
    assert turn.get(reader, "a1", "s2", "t1") is None
    assert step_of(reader, "t1-step-2") is None
    assert isinstance(step_of(reader, "t1-step-1"), InferenceStep)


def test_session_pages_leave_turns_out(view: View, feed: ListFeed) -> None:
    feed.append(h.agent_created("a1"), *[h.session_created(f"s{i}", "a1") for i in range(3)])
    reader = follow(view, feed.append(*h.whole_turn("t1", "s1", "a1")))
    sessions, more = session.page(reader, "a1", 1, 1)
    assert ([(s.session_id, s.turns) for s in sessions], more) == ([("s1", [])], True)
    assert session.page(reader, "unknown") == ([], False)


def test_what_a_turn_comes_to(view: View, feed: ListFeed) -> None:
    feed.append(h.agent_created("a1"), h.session_created("s1", "a1"))
    feed.append(*h.turn_opened("t1", "s1", "a1"), h.step_started("t1", "x"), h.step_completed("t1", "x"))
    feed.append(h.step_started("t1", "y"), h.step_failed("t1", "y"), *h.turn_failed("t1", "s1"))
    feed.append(*h.turn_opened("t2", "s1", "a1"), h.step_started("t2", "z"), *h.turn_cancelled("t2", "s1"))
    reader = follow(view, feed.append(*h.whole_turn("t3", "s1", "a1", steps=3)))
    failed, cancelled, completed = (turn.get(reader, "a1", "s1", f"t{i}") for i in (1, 2, 3))
    assert failed is not None
    assert cancelled is not None
    assert completed is not None
    assert failed.outcome.status == "failed"
    assert failed.outcome.error is not None
    assert (failed.outcome.error.status, failed.outcome.error.detail) == (502, "The model went away.")
    assert failed.outcome.usage == TurnUsage(10, 3)
    assert [step.step_id for step in failed.turn.steps] == ["x"]
    assert (cancelled.outcome.status, cancelled.turn.output_message.content) == ("cancelled", "H")
    assert cancelled.turn.steps == []
    assert (completed.outcome.status, completed.outcome.usage) == ("completed", TurnUsage(30, 9))


def test_step_times_are_those_of_its_events(view: View, feed: ListFeed) -> None:
    feed.append(h.agent_created("a1"), h.session_created("s1", "a1"))
    reader = follow(view, feed.append(*h.whole_turn("t1", "s1", "a1")))
    step = step_of(reader, "t1-step-1")
    assert step is not None
    assert (step.started_at, step.completed_at) == (
        "2026-09-21T14:13:20.000005Z",
        "2026-09-21T14:13:20.000006Z",
    )
    assert START_US == 1_790_000_000_000_000


def test_a_turn_waits_for_tools_and_goes_on(view: View, feed: ListFeed) -> None:
    calls = [{"call_id": "c1", "tool_name": "clock", "arguments": "{}"}]
    asking = {"role": "assistant", "content": "", "stop_reason": "end_of_message", "tool_calls": calls}
    feed.append(h.agent_created("a1"), h.session_created("s1", "a1"), *h.turn_opened("t1", "s1", "a1"))
    reader = follow(view, feed.append(("turn/t1", "turn.awaiting_input.1", {"output_message": asking})))
    waiting = turn.get(reader, "a1", "s1", "t1")
    assert waiting is not None
    assert waiting.outcome.status == "awaiting_input"
    assert waiting.turn.completed_at is None
    assert waiting.turn.output_message.tool_calls is not None
    kind = {"step_id": "x", "step_type": "tool_execution"}
    responses = [{"call_id": "c1", "tool_name": "clock", "content": "noon"}]
    feed.append(
        ("turn/t1", "turn.resumed.1", {"owner": {"node": "n", "boot": "b"}}),
        ("turn/t1", "turn.step_started.1", {**kind, "attempt": 1}),
        ("turn/t1", "turn.step_completed.1", {**kind, "tool_calls": calls, "tool_responses": responses}),
    )
    resumed = turn.get(follow(view, feed.head()), "a1", "s1", "t1")
    assert resumed is not None
    assert (resumed.outcome.status, resumed.turn.output_message.content) == ("running", "")
    assert isinstance(resumed.turn.steps[0], ToolExecutionStep)
    assert resumed.turn.steps[0].tool_responses[0].content == "noon"


def test_open_turns_are_those_without_an_end(view: View, feed: ListFeed) -> None:
    feed.append(h.agent_created("a1"), *[h.session_created(f"s{i}", "a1") for i in range(4)])
    feed.append(*h.whole_turn("t0", "s0", "a1"))
    feed.append(*h.turn_opened("t1", "s1", "a1"), h.step_started("t1", "x"), h.turn_restarted("t1", 2))
    feed.append(*h.turn_opened("t2", "s2", "a1"), *h.turn_opened("t3", "s3", "a1"))
    reader = follow(view, feed.append(h.session_deleted("s3")))
    found = turn.open_turns(reader)
    assert [(t.turn_id, t.session_id, t.attempt, t.owner_boot) for t in found] == [
        ("t1", "s1", 2, "boot-2"),
        ("t2", "s2", 1, "boot-1"),
    ]


def test_a_deleted_agent_hides_its_sessions_until_they_are_deleted(view: View, feed: ListFeed) -> None:
    feed.append(h.agent_created("a1"), h.session_created("s1", "a1"), h.session_created("s2", "a1"))
    feed.append(*h.whole_turn("t1", "s1", "a1"))
    reader = follow(view, feed.append(h.agent_deleted("a1")))
    assert session.get(reader, "a1", "s1") is None
    assert turn.get(reader, "a1", "s1", "t1") is None
    assert session.page(reader, "a1") == ([], False)
    assert session.ids_of_agent(reader, "a1") == ["s1", "s2"]
    assert session.ids_of_agent(reader, "a1", include_deleted_agent=False) == []
    assert session.agents_with_orphans(reader) == ["a1"]
    follow(view, feed.append(h.session_deleted("s1"), h.session_deleted("s2")))
    assert session.ids_of_agent(reader, "a1") == []
    assert session.agents_with_orphans(reader) == []


def test_as_of_shows_each_moment(view: View, feed: ListFeed) -> None:
    before = feed.append(h.agent_created("a1"))
    created = feed.append(h.session_created("s1", "a1"))
    opened = feed.append(*h.turn_opened("t1", "s1", "a1"))
    half = feed.append(h.step_started("t1", "x"), h.step_completed("t1", "x", "half"))
    reader = follow(view, feed.append(*h.turn_completed("t1", "s1")))
    assert session.get(reader, "a1", "s1", as_of=before) is None
    assert session.page(reader, "a1", as_of=before) == ([], False)
    assert agent.page(reader, as_of=0) == ([], False)
    assert turn.get(reader, "a1", "s1", "t1", as_of=created) is None
    states = [turn.get(reader, "a1", "s1", "t1", as_of=position) for position in (opened, half, None)]
    assert [(s.outcome.status, len(s.turn.steps)) for s in states if s] == [
        ("running", 0),
        ("running", 1),
        ("completed", 1),
    ]


def test_as_of_never_shows_what_was_deleted(view: View, feed: ListFeed) -> None:
    feed.append(h.agent_created("a1"), h.session_created("s1", "a1"))
    alive = feed.append(*h.whole_turn("t1", "s1", "a1"))
    reader = follow(view, feed.append(h.session_deleted("s1")))
    assert session.get(reader, "a1", "s1", as_of=alive) is None
    assert turn.get(reader, "a1", "s1", "t1", as_of=alive) is None
    follow(view, feed.append(h.agent_deleted("a1")))
    assert agent.get(reader, "a1", as_of=alive) is None


def test_content_in_blobs_is_filled_in(view: View, feed: ListFeed) -> None:
    feed.append(h.agent_created("a1"), h.session_created("s1", "a1"))
    blob = {"$blob": "sha256-1"}
    owner = {"node": "n", "boot": "b"}
    started = {"session_id": "s1", "agent_id": "a1", "owner": owner, "input_messages": blob}
    message = {"role": "assistant", "content": blob, "stop_reason": "end_of_turn"}
    follow(
        view,
        feed.append(
            ("turn/t1", "turn.started.1", started),
            ("turn/t1", "turn.completed.1", {"output_message": message}),
        ),
    )
    stored = [b'[{"role":"user","content":"long"}]', b'"longer"']

    def hydrate(content: bytes) -> bytes:
        marker = json.dumps(blob).encode()
        assert marker in content
        return content.replace(marker, stored[0 if b"input_messages" in content else 1])

    found = turn.get(HydratingReader(view[0], hydrate), "a1", "s1", "t1")
    assert found is not None
    assert found.turn.input_messages[0].content == "long"
    assert found.turn.output_message.content == "longer"


def test_unicode_and_nul_come_back_as_they_were(view: View, feed: ListFeed) -> None:
    text = 'nul \x00 quote " back \\ snow \u2603 family \U0001f468\u200d\U0001f469 </script>'
    feed.append(h.agent_created("a1"), h.session_created("s1", "a1"))
    reader = follow(view, feed.append(*h.turn_opened("t1", "s1", "a1", text)))
    found = turn.get(reader, "a1", "s1", "t1")
    assert found is not None
    assert found.turn.input_messages[0].content == text


def test_the_views_for_sql_say_the_same(view: View, feed: ListFeed) -> None:
    feed.append(h.agent_created("a1"), h.session_created("s1", "a1"))
    feed.append(*h.whole_turn("t1", "s1", "a1", steps=2))
    feed.append(*h.turn_opened("t2", "s1", "a1"), h.step_started("t2", "x"), h.step_failed("t2", "x"))
    feed.append(h.turn_restarted("t2", 2), h.step_started("t2", "y"))
    warehouse = follow(view, feed.head())
    with warehouse.write() as transaction:
        turns = transaction.rows(
            "SELECT turn_id, session_id, agent_id, status, completed_steps, attempts, output_tokens "
            "FROM views.build_1.turns ORDER BY position"
        )
        steps = transaction.rows(
            "SELECT step_id, turn_id, session_id, status, attempt, model, input_tokens, error_status "
            "FROM views.build_1.steps ORDER BY position"
        )
    assert turns == [
        ("t1", "s1", "a1", "completed", 2, 1, 6),
        ("t2", "s1", "a1", "running", 0, 2, None),
    ]
    model = "demo/extractive"
    assert steps == [
        ("t1-step-1", "t1", "s1", "completed", 1, model, 10, None),
        ("t1-step-2", "t1", "s1", "completed", 1, model, 10, None),
        ("x", "t2", "s1", "failed", 1, model, None, 502),
        ("y", "t2", "s1", "unfinished", 1, model, None, None),
    ]
