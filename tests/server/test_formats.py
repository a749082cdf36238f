"""Sessions in the formats of other tools, exported and imported over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from atif import Trajectory
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

from tests.server.api import Api, Conversation, check_error, kinds, parse
from tests.server.process import Replaystack, wait_until
from tests.server.tool_calls import rain, waiting, weather_man
from tests.servers.processes import RunningServer
from tests.services import test_claude_code, test_codex
from tests.telemetry.collector import collecting
from tests.telemetry.otlp_json_form import as_json

pytestmark = pytest.mark.slow

IMPORT = "/v1alpha/sessions/import"
LINES = {"content-type": "application/jsonl"}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory, scripted_server: RunningServer) -> Iterator[Replaystack]:
    """The server into which the tests of this file import."""
    data = tmp_path_factory.mktemp("formats") / "data"
    with Replaystack(data, model_url=scripted_server.base_url) as server:
        yield server
        server.check_healthy()


@pytest.fixture
def there(target: Replaystack) -> Iterator[Api]:
    with target.http() as http:
        yield Api(http)


@pytest.fixture
def talked(api: Api) -> Conversation:
    """A session with calls of a tool of the client."""
    conversation = weather_man(api)
    for text in ("Will it rain?", "And tomorrow?"):
        turn = waiting(conversation, text)
        conversation.resume(turn["turn_id"], rain()).raise_for_status()
    return conversation


def exported(conversation: Conversation, form: str) -> bytes:
    return (
        conversation.http.get(f"{conversation.path}/export", params={"as": form}).raise_for_status().content
    )


def import_(api: Api, file: bytes, form: str, **headers: str) -> httpx.Response:
    return api.http.post(IMPORT, content=file, headers=LINES | headers, params={"from": form})


def imported(api: Api, file: bytes, form: str) -> Conversation:
    done = import_(api, file, form).raise_for_status().json()
    return Conversation(api, done["agent_id"], done["session_id"])


def said(conversation: Conversation) -> list[Any]:
    """The content of a session without ids and times."""
    found = []
    for turn in conversation.show()["turns"]:
        steps = [
            {name: step.get(name) for name in ("step_type", "model_response", "tool_calls", "tool_responses")}
            for step in turn["steps"]
        ]
        found.append((turn["input_messages"], steps, turn["output_message"]))
    return found


@pytest.mark.parametrize("form", ["atif", "otlp"])
def test_an_imported_session_is_served_like_any_other(talked: Conversation, there: Api, form: str) -> None:
    file = exported(talked, form)
    copy = imported(there, file, form)
    assert said(copy) == said(talked)
    assert copy.session_id != talked.session_id
    agents = there.http.get(f"/v1alpha/agents/{copy.agent_id}").json()
    assert agents["agent_config"]["client_tools"][0]["name"] == "weather"
    for turn in copy.show()["turns"]:
        path = f"{copy.path}/turn/{turn['turn_id']}"
        assert there.http.get(f"{path}/outcome").json()["status"] == "completed"
        events = kinds(parse(there.http.get(f"{path}/stream").content))
        assert events[0] == "turn_start" and events[-1] == "turn_complete"
    check_error(import_(there, file, form), 409, "it was imported from this file before")
    assert said(imported(there, exported(copy, form), form)) == said(talked)


@pytest.mark.parametrize(
    ("form", "file"),
    [
        (
            "claude-code",
            test_claude_code.file(
                test_claude_code.user("u1", "List the files."),
                test_claude_code.assistant("a1", [test_claude_code.use("t1", command="ls")], "u1"),
                test_claude_code.user("u2", [test_claude_code.result("t1", "a.py")], "a1"),
                test_claude_code.assistant("a2", [test_claude_code.text("There is a.py.")], "u2"),
            ),
        ),
        (
            "codex",
            test_codex.file(
                test_codex.META,
                test_codex.message("user", "List the files."),
                test_codex.call("c1"),
                test_codex.output("c1", "a.py"),
                test_codex.message("assistant", "There is a.py."),
            ),
        ),
    ],
)
def test_what_other_agents_recorded_is_exported_in_each_format(there: Api, form: str, file: bytes) -> None:
    copy = imported(there, file, form)
    ((input_messages, steps, output),) = said(copy)
    assert input_messages == [{"role": "user", "content": "List the files."}]
    assert [step["step_type"] for step in steps] == ["inference", "tool_execution", "inference"]
    assert output["content"] == "There is a.py."
    for other in ("atif", "otlp"):
        assert said(imported(there, exported(copy, other), other)) == said(copy)
    row = json.loads(exported(copy, "sft"))
    assert [message["role"] for message in row["messages"]][-4:] == ["user", "assistant", "tool", "assistant"]


def test_an_imported_session_continues(talked: Conversation, there: Api) -> None:
    copy = imported(there, exported(talked, "atif"), "atif")
    turn = waiting(copy, "And then?")
    copy.resume(turn["turn_id"], rain()).raise_for_status()
    assert len(copy.show()["turns"]) == 3


def test_the_export_is_one_document_that_its_package_reads(talked: Conversation) -> None:
    trajectory = Trajectory.model_validate_json(exported(talked, "atif"))
    assert trajectory.session_id == talked.session_id
    assert [step.source for step in trajectory.steps] == ["user", "agent", "agent"] * 2


def test_all_sessions_of_a_file_are_imported_or_none(there: Api) -> None:
    def trajectory(said: str, **fields: Any) -> dict[str, Any]:
        steps = [
            {"step_id": 1, "source": "user", "message": said},
            {"step_id": 2, "source": "agent", "message": "ok"},
        ]
        return {
            "schema_version": "ATIF-v1.8",
            "agent": {"name": said, "version": "1"},
            "steps": steps,
            **fields,
        }

    inner = trajectory("inner", trajectory_id="t1")
    file = json.dumps(trajectory("outer", subagent_trajectories=[inner])).encode()
    first = import_(there, file, "atif", **{"Idempotency-Key": "both"}).raise_for_status().json()
    again = import_(there, file, "atif", **{"Idempotency-Key": "both"}).raise_for_status().json()
    assert again == first
    (other,) = first["others"]
    for done in (first, other):
        found = there.http.get(f"/v1alpha/sessions/{done['session_id']}").raise_for_status().json()
        assert found["agent_id"] == done["agent_id"]
    named = there.http.post(
        IMPORT, content=file.replace(b"ok", b"OK"), headers=LINES, params={"from": "atif", "name": "n"}
    )
    check_error(named, 400, "The file has 2 sessions")


def test_spans_of_a_server_that_a_collector_wrote_become_a_session(
    tmp_path: Path, scripted_server: RunningServer
) -> None:
    """Each call has the conversation so far in its input, and a resumed turn has two spans."""
    with collecting() as collector:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true",
        }
        url = scripted_server.base_url
        with (
            Replaystack(tmp_path / "data", model_url=url, environment=environment) as server,
            server.http() as http,
        ):
            api = Api(http)
            conversation = weather_man(api, instructions="Be brief.")
            for text in ("Will it rain?", "And tomorrow?"):
                turn = waiting(conversation, text)
                conversation.resume(turn["turn_id"], rain()).raise_for_status()
            before = said(conversation)
            wait_until(lambda: len(collector.named("chat tools")) == 4)
            wait_until(lambda: len(collector.named(f"invoke_agent {conversation.agent_id}")) == 4)
            scope_spans = ScopeSpans(spans=collector.spans)
            request = ExportTraceServiceRequest(resource_spans=[ResourceSpans(scope_spans=[scope_spans])])
            copy = imported(api, as_json(request), "otlp")
            assert said(copy) == before
            agent = http.get(f"/v1alpha/agents/{copy.agent_id}").json()["agent_config"]
            assert agent["instructions"] == "Be brief."


def test_two_files_of_one_agent_have_one_agent(there: Api) -> None:
    agent = {"name": "same", "version": "1", "model_name": "m"}
    files = [
        json.dumps(
            {
                "schema_version": "ATIF-v1.8",
                "agent": agent,
                "steps": [
                    {
                        "step_id": 1,
                        "source": "user",
                        "message": said,
                        "timestamp": f"2026-01-0{day}T00:00:00Z",
                    }
                ],
            }
        ).encode()
        for day, said in ((2, "one"), (1, "two"))
    ]
    first, second = (imported(there, file, "atif") for file in files)
    assert first.agent_id == second.agent_id
    assert first.session_id != second.session_id


@pytest.mark.parametrize(
    ("form", "file", "detail"),
    [
        ("atif", b'{"schema_version": "ATIF-v1.9"}', "versions up to 1.8"),
        ("atif", b" \n", "empty"),
        ("otlp", b'{"resourceSpans": []}', "has no spans"),
        ("nonsense", b"{}", "it must be one of: atif,"),
    ],
)
def test_what_cannot_be_imported_writes_nothing(there: Api, form: str, file: bytes, detail: str) -> None:
    before = there.http.get("/v1alpha/agents").json()
    check_error(import_(there, file, form), 400, detail)
    assert there.http.get("/v1alpha/agents").json() == before
