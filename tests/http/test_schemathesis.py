"""Whatever its own description admits, and whatever it does not, the server answers as described and never with 500.

Requests are made from the OpenAPI document: some fit it, some break it. They go to ids that no one has, and to an
agent, a session, a waiting turn and a step that are there. They are the same in each run.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.core.errors import InvalidSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from stack.http.spec.document import as_json
from tests.server.api import Api, parse
from tests.server.evals import Evals
from tests.server.process import Replaystack
from tests.servers.processes import RunningServer

pytestmark = [pytest.mark.slow, pytest.mark.long]

# Lines are sent as text.
schemathesis.serializer.alias("application/jsonl", "text/plain")

DOCUMENT = json.loads(as_json())
# With it an answer has more than the contract's description allows; `tests/server/test_telemetry_trace.py` asks for it.
DOCUMENT["paths"]["/v1alpha/telemetry/traces"]["post"]["parameters"] = []
# A stream without an end; `tests/server/test_event.py` follows it.
_EVENTS = DOCUMENT["paths"]["/v1alpha/events"]["get"]
_EVENTS["parameters"] = [one for one in _EVENTS["parameters"] if one["name"] != "follow"]
OPERATIONS: list[APIOperation[Any, Any, Any, Any]] = [
    found.ok() for found in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()
]
ON_WHAT_IS_THERE = [one for one in OPERATIONS if "/agents" in one.path or "/eval/" in one.path]
WITH_INPUT = [one for one in OPERATIONS if one.body or one.query]
# That every fitting request is taken cannot be held: its ids are unknown, its model, its toolgroups.
CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
FRAMES = {
    part: jsonschema_rs.validator_for(
        {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    )
    for part, name in (("/agents/", "AgentTurnResponseStreamChunk"), ("/eval/", "JobStreamChunk"))
}
DATASET = "what is there"
TOOL = {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}
TIMEOUT_S = 20.0


def examples(count: int) -> settings:
    """The same ones in each run."""
    return settings(
        max_examples=count,
        derandomize=True,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, scripted_server: RunningServer) -> Iterator[Replaystack]:
    data = tmp_path_factory.mktemp("described") / "data"
    with Replaystack(data, model_url=scripted_server.base_url) as server:
        with server.http() as http:
            Evals(http).datasets.registered([{"question": "?", "answer": 1}], dataset_id=DATASET)
        yield server
        server.check_healthy()
    assert server.wait() == 0
    assert '"level":"error"' not in server.log, server.log


@pytest.fixture
def ids(server: Replaystack) -> Iterator[dict[str, str]]:
    """An agent, its session, a turn in it that waits for a tool, and that turn's step; a benchmark and its job."""
    with server.http() as http:
        conversation = Api(http).conversation("scripted/tools", client_tools=[TOOL])
        turn = conversation.turn()
        benchmark = Evals(http).registered(name=f"b-{uuid.uuid4()}")
        yield {
            "benchmark_id": benchmark.name,
            "job_id": benchmark.job(),
            "agent_id": conversation.agent_id,
            "session_id": conversation.session_id,
            "turn_id": turn["turn_id"],
            "step_id": turn["steps"][0]["step_id"],
        }


def place(operation: APIOperation[Any, Any, Any, Any], ids: dict[str, str]) -> dict[str, Any]:
    """The path parameters of the operation as the generator takes them."""
    named = {name: value for name, value in ids.items() if f"{{{name}}}" in operation.path}
    return {"path_parameters": named} if named else {}


def with_names_of_what_is_there(case: Case) -> Case:
    """The request with names that are known here, where a generated one would be refused for that alone."""
    body = case.body
    if case.operation.path.endswith("/compare"):
        case.query = {"a": "0", "b": "0"}
    if not isinstance(body, dict):
        return case
    if case.operation.path.endswith("/export"):
        # Patterns and paths have languages of their own.
        body.clear()
        body["builtin"] = ["all"]
    if "benchmark_id" in body:
        body |= {"dataset_id": DATASET, "scoring_functions": []}
    for config in (body, body.get("agent_config")):
        for name in ("toolgroups", "input_shields", "output_shields"):
            if isinstance(config, dict):
                config.pop(name, None)
    if isinstance(body.get("agent_config"), dict):
        body["agent_config"]["model"] = "demo/extractive"
    if isinstance(body.get("benchmark_config"), dict):
        _name_what_is_evaluated(body)
    if isinstance(body.get("tool_responses"), list):
        body["tool_responses"] = [one | {"call_id": "call_0"} for one in body["tool_responses"][:1]]
    if isinstance(body.get("messages"), list):
        body["messages"] = [one for one in body["messages"] if "call_id" not in one]
    return case


def _name_what_is_evaluated(body: dict[str, Any]) -> None:
    config = body["benchmark_config"]
    config["scoring_params"] = {}
    candidate = config.get("eval_candidate")
    if isinstance(candidate, dict) and isinstance(candidate.get("config"), dict):
        candidate["config"] = {"model": "demo/extractive", "instructions": ""}
    elif isinstance(candidate, dict):
        candidate["model"] = "demo/extractive"
    if isinstance(body.get("input_rows"), list):
        body["input_rows"] = [one | {"question": "?", "answer": 1} for one in body["input_rows"][:2]]
        body["scoring_functions"] = []


def check(server: Replaystack, case: Case) -> int:
    """Sends the request; fails unless its answer is one that the document describes. Returns the status."""
    response = case.call(base_url=server.url, timeout=TIMEOUT_S)
    described = case.operation.definition.raw["responses"]
    assert response.status_code != 500, response.text
    assert response.status_code != 501 or "501" in described, response.text
    if response.headers["content-type"][0].startswith("text/event-stream"):
        [frames] = [known for part, known in FRAMES.items() if part in case.operation.path]
        for frame in parse(response.content):
            assert "error" in frame.value or frames.validate(frame.value) is None
    else:
        case.validate_response(response, checks=CHECKS)
    return response.status_code


@st.composite
def within_reach(draw: st.DrawFn, strategy: st.SearchStrategy[Case]) -> Case:
    """Without the requests that the generator finds it cannot make: a body as deep as that of an evaluation has
    places that it wants to break and has no value for."""
    try:
        return draw(strategy)
    except InvalidSchema:
        reject()


def check_all(server: Replaystack, strategy: Any, count: int) -> set[int]:
    """Checks that many requests. Returns the statuses that were answered."""
    seen = set()

    @examples(count)
    @given(case=strategy)
    def each(case: Case) -> None:
        seen.add(check(server, case))

    each()
    return seen


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.label)
def test_fitting_requests_are_answered_as_described(
    server: Replaystack, operation: APIOperation[Any, Any, Any, Any]
) -> None:
    check_all(server, operation.as_strategy(), 10)


@pytest.mark.parametrize("operation", ON_WHAT_IS_THERE, ids=lambda one: one.label)
def test_so_are_those_on_what_is_there(
    server: Replaystack, operation: APIOperation[Any, Any, Any, Any], ids: dict[str, str]
) -> None:
    seen = check_all(
        server, operation.as_strategy(**place(operation, ids)).map(with_names_of_what_is_there), 40
    )
    assert 200 in seen


@pytest.mark.parametrize("operation", WITH_INPUT, ids=lambda one: one.label)
def test_requests_that_break_the_description_are_refused_as_described(
    server: Replaystack, operation: APIOperation[Any, Any, Any, Any], ids: dict[str, str]
) -> None:
    strategy = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE, **place(operation, ids))
    check_all(server, within_reach(strategy), 40)
