"""A recorded turn, run with changes or with another model: what counts as different. The live model is a fake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct
from msgspec.structs import replace

from schemas.api.session_check import Report
from schemas.events.payload import ToolCall, TurnUsage
from schemas.session_file import Passes, Tolerance
from stack.errors import Invalid
from stack.providers.inference.port import (
    Finished,
    InferenceEvent,
    InferenceProvider,
    InferenceRequest,
    Opened,
    TextChunk,
    ToolCallChunk,
)
from stack.providers.tools.port import ToolResult
from stack.providers.tools.settings import ApprovalRule
from stack.services.replay.recorded_parts import RecordedProvider
from stack.services.replay.report import Run
from stack.services.replay.rerun import Outside, Scenario
from stack.services.replay.run_again import run_again
from stack.services.replay.run_comparison import Rules
from stack.services.replay.scenario_file import ScenarioFile, read_scenario
from stack.services.replay.session_record import SessionRecord
from stack.services.replay.tolerance import check_tolerance, without
from tests.services.test_replay_check import recorded
from tests.services.tool_turns import Turning

ANN, LOOK = ("send", '{"to":"ann"}'), ("look", "{}")


class Scripted(RecordedProvider):
    """A live model, which calls the tools of each list once, then says its last words."""

    script: Sequence[Sequence[tuple[str, str]]] = ()
    words: str = "Done."
    requests: list[InferenceRequest] = []

    async def infer(
        self, request: InferenceRequest, *, headers: Mapping[str, str]
    ) -> AsyncGenerator[InferenceEvent, None]:
        self.requests.append(request)
        yield Opened()
        messages = [msgspec.json.decode(one) for one in request.each_message()]
        done = sum(1 for message in messages if message["role"] == "assistant")
        if done >= len(self.script):
            yield TextChunk(self.words)
            yield Finished("stop", TurnUsage())
            return
        for index, (tool, arguments) in enumerate(self.script[done]):
            yield ToolCallChunk(index, f"live_{done}_{index}", tool, arguments)
        yield Finished("tool_calls", TurnUsage())


def with_scenario(record: SessionRecord, **fields: Any) -> Report:
    scenario = msgspec.convert(fields, ScenarioFile)
    rules = Rules(accepts=scenario.accepts)
    return asyncio.run(run_again(record, scenario.scenario(), Outside(), rules)).report


def against(
    record: SessionRecord,
    script: Sequence[Sequence[tuple[str, str]]],
    words: str = "Done.",
    tolerance: Tolerance | None = None,
    **outside: Any,
) -> Run:
    model: InferenceProvider = Scripted("live", script=script, words=words)
    rules = Rules(actions_only=True, tolerance=tolerance or Tolerance())
    return asyncio.run(run_again(record, Scenario(), Outside(model=(model, "m"), **outside), rules))


def kind_of(report: Report) -> str:
    assert report.verdict == "diverged" and report.first is not None and report.first.difference is not None
    return report.first.difference.kind


def test_a_scenario_without_a_change_is_identical() -> None:
    assert with_scenario(recorded()).verdict == "identical"


def test_another_prompt_is_expected_of_a_scenario() -> None:
    report = with_scenario(recorded(), agent={"instructions": "Be brief."})
    assert report.verdict == "equivalent"
    assert report.first is not None and report.first.difference is not None
    assert (report.first.difference.kind, report.first.version) == ("request", 3)


def test_a_tool_that_is_taken_away_diverges_where_it_is_called() -> None:
    record = recorded([[LOOK], [ANN]])
    assert with_scenario(record, remove=["break"]).verdict == "equivalent", "it is not called"
    report = with_scenario(record, remove=["send"])
    assert kind_of(report) == "tool set" and report.first is not None
    assert report.first.difference is not None and "send" in report.first.difference.recorded


def test_a_lower_limit_diverges() -> None:
    assert kind_of(with_scenario(recorded(), agent={"max_infer_iters": 1})) == "limit"


def test_a_rule_that_was_not_decided_diverges() -> None:
    rule = [{"tools": ["send"]}]
    report = with_scenario(recorded(), tools=[{"name": "send", "approval": rule}])
    assert kind_of(report) == "approval" and report.turns[0].reason.startswith(
        "No result is recorded for send("
    )


def test_a_recorded_decision_is_made_again() -> None:
    turn = Turning([[ANN, LOOK]], approval=[ApprovalRule(tools=["send"])])
    turn.run()
    turn.answer(call_0_0=("", {"decision": "approve"}))
    assert with_scenario(turn.record, agent={"instructions": "x"}).verdict == "equivalent"


def test_tools_of_the_client_answer_as_recorded() -> None:
    turn = Turning([[("weather", '{"a":1}')]])
    turn.run()
    turn.answer(call_0_0=("rain", None))
    assert with_scenario(turn.record).verdict == "identical"
    assert against(turn.record, [[("weather", '{"a":1}')]]).report.verdict == "equivalent"
    assert kind_of(against(turn.record, [[("weather", '{"a":2}')]]).report) == "tool arguments"


def test_a_live_model_that_does_the_same_is_equivalent() -> None:
    run = against(recorded(), [[LOOK, ANN], [LOOK]], words="Something else.")
    assert run.report.verdict == "equivalent", "neither the order of a batch nor prose counts"
    [events] = run.turns.values()
    assert "sent to ann" in str(events), "the tools answer as recorded"


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ([[ANN, LOOK]], "tool arguments"),
        ([[ANN, LOOK], [LOOK], [LOOK]], "tool arguments"),
        ([[("send", '{"to":"bob"}'), LOOK], [LOOK]], "tool arguments"),
        ([[("oracle", "{}")]], "tool arguments"),
        ([], "tool arguments"),
    ],
)
def test_a_live_model_that_does_something_else_diverges(script: Any, kind: str) -> None:
    assert kind_of(against(recorded(), script).report) == kind


def test_a_result_that_is_not_recorded() -> None:
    record, other = recorded([[ANN]]), [[("send", '{"to":"bob"}')]]
    ended = against(record, other)
    assert "No result is recorded for send" in ended.report.turns[0].reason
    assert "not available" in str(against(record, other, unrecorded="error").turns)

    async def simulate(call: ToolCall, examples: Sequence[tuple[str, str]]) -> str:
        assert examples == [('{"to":"ann"}', "sent to ann")]
        return f"simulated {call.arguments}"

    assert "simulated" in str(against(record, other, unrecorded="simulate", simulate=simulate).turns)


def test_a_tool_is_live_only_by_name_and_if_it_is_repeatable() -> None:
    called: list[str] = []

    async def call_live(name: str, arguments: str) -> ToolResult:
        called.append(name)
        return ToolResult(content="cloudy")

    record = recorded([[LOOK]])
    run = against(record, [[LOOK]], live=frozenset(("look",)), call_live=call_live)
    assert called == ["look"] and "cloudy" in str(run.turns)
    refused = against(record, [[LOOK]], live=frozenset(("send",)), call_live=call_live)
    assert (
        refused.report.verdict == "unreplayable"
        and "not declared repeatable" in refused.report.turns[0].reason
    )


def test_what_is_tolerated() -> None:
    timed = [[("send", '{"to":"ann","at":1,"x":{"n":1.0}}')]]
    later = [[("send", '{"to":"ann","at":2,"x":{"n":1.001}}')]]
    record = recorded(timed)
    assert kind_of(against(record, later, unrecorded="error").report) == "tool arguments"
    tolerance = Tolerance(ignore=["$.at"], epsilon=0.01)
    assert against(record, later, tolerance=tolerance, unrecorded="error").report.verdict == "equivalent"
    exact, normal = Tolerance(text="exact"), Tolerance(text="normalised")
    assert kind_of(against(record, timed, words="done", tolerance=exact).report) == "answer"
    assert against(record, timed, words="done", tolerance=normal).report.verdict == "equivalent"
    assert kind_of(against(record, timed, words="Finished.", tolerance=normal).report) == "answer"


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("$.at", {"rows": [{"id": 1, "n": 1}, {"id": 2, "n": 2}]}),
        ("$.rows[*].id", {"at": 1, "rows": [{"n": 1}, {"n": 2}]}),
        ("$.rows[1]", {"at": 1, "rows": [{"id": 1, "n": 1}]}),
        ("$..id", {"at": 1, "rows": [{"n": 1}, {"n": 2}]}),
        ("$.none", {"at": 1, "rows": [{"id": 1, "n": 1}, {"id": 2, "n": 2}]}),
    ],
)
def test_paths_that_are_ignored(path: str, left: Any) -> None:
    value = {"at": 1, "rows": [{"id": 1, "n": 1}, {"id": 2, "n": 2}]}
    assert without(value, Tolerance(ignore=[path])) == left


@pytest.mark.parametrize(
    ("tolerance", "says"),
    [
        (Tolerance(ignore=["at"]), "not a JSON path"),
        (Tolerance(text="roughly"), "must be one of"),
        (Tolerance(epsilon=-1.0), "0 or more"),
        (Tolerance(passes=Passes(3, 2)), "3 of 2"),
        (Tolerance(passes=Passes(0, 2)), "0 of 2"),
    ],
)
def test_a_tolerance_that_is_wrong(tolerance: Tolerance, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        check_tolerance(tolerance)


def test_a_judge_compares_answers() -> None:
    record = recorded([[LOOK]])

    async def judge(before: str, now: str) -> bool:
        return "no" not in now

    model: InferenceProvider = Scripted("live", script=[[LOOK]], words="It is done.")
    other: InferenceProvider = Scripted("live", script=[[LOOK]], words="It is not.")
    rules = Rules(actions_only=True, tolerance=Tolerance(text="judge"))
    verdicts = [
        asyncio.run(run_again(record, Scenario(), Outside(model=(one, "m")), rules, judge)).report.verdict
        for one in (model, other)
    ]
    assert verdicts == ["equivalent", "diverged"]


def test_a_session_goes_on_with_its_own_answers() -> None:
    first, second = Turning([[LOOK]]), Turning([])
    first.run(), second.run()
    turns = {"turn-1": first.record.turns["turn-1"], "turn-2": second.record.turns["turn-1"]}
    record = replace(first.record, turns=turns)
    model = Scripted("live", script=[], words="New.")
    rules = Rules(actions_only=True)
    asyncio.run(run_again(record, Scenario(), Outside(model=(model, "m")), rules))
    assert '"New."' in str([bytes(one) for one in model.requests[-1].each_message()])


class Wrong(Struct):
    text: str
    says: str


@pytest.mark.parametrize(
    "wrong",
    [
        Wrong("[agent", "is not a scenario"),
        Wrong("[agent]\nmodel = 'x'", "cannot change 'model'"),
        Wrong("[agent]\ninstruction = 'x'", "cannot change 'instruction'"),
        Wrong("agents = 1", "is not a scenario"),
    ],
    ids=lambda one: one.says,
)
def test_a_scenario_file_that_is_wrong(tmp_path: Path, wrong: Wrong) -> None:
    file = tmp_path / "scenario.toml"
    file.write_text(wrong.text)
    with pytest.raises(Invalid, match=wrong.says):
        read_scenario(file)


def test_a_scenario_that_does_not_fit() -> None:
    with pytest.raises(Invalid, match="does not fit"):
        with_scenario(recorded(), agent={"max_infer_iters": "many"})
    with pytest.raises(Invalid, match="without an input_schema"):
        with_scenario(recorded(), tools=[{"name": "new"}])
