"""The plain resources of llama-stack-client 0.2.x, over /v1: what it lists, asks, makes and deletes."""

from __future__ import annotations

from typing import Any

import pytest

from stack.version import VERSION
from tests.clients.interpreters import clients
from tests.server.process import Replaystack

MODEL = "demo/extractive"


@pytest.fixture(scope="module", params=clients("0.2"), ids=lambda client: client.version)
def found(request: pytest.FixtureRequest, server: Replaystack) -> dict[str, Any]:
    resources: dict[str, Any] = request.param.run("resources_0_2", server.url, MODEL)
    return resources


def test_models_and_providers_are_listed(found: dict[str, Any]) -> None:
    assert {MODEL, "scripted/tools", "llama/tiny-random"} <= set(found["models"])
    assert found.get("openai_models", found["models"]) == found["models"]
    assert (found["model"], found["model_type"]) == ("extractive", "llm")
    assert {"scripted", "llama", "demo", "replaystack", "localfs", "basic"} <= set(found["providers"])
    assert set(found["providers"].values()) == {"OK"}
    assert found["provider"] == "inline::demo"


def test_what_there_is_none_of_is_an_empty_list(found: dict[str, Any]) -> None:
    assert found["empty"] == [0]


def test_tools_of_the_server_are_listed_and_called(found: dict[str, Any]) -> None:
    assert "builtin::code_interpreter" in found["toolgroups"]
    assert found["tool"] == "code_interpreter" and found["listed"] == [["code_interpreter"]] * 2
    assert "42" in str(found["invoked"])


def test_health_and_version_are_said(found: dict[str, Any]) -> None:
    assert found["health"] == "OK"
    assert found["version"] == VERSION


def test_what_is_taken_from_the_settings_cannot_be_registered(found: dict[str, Any]) -> None:
    assert set(found["refused"]) == {501}


def test_what_is_unknown_is_not_found(found: dict[str, Any]) -> None:
    assert set(found["unknown"]) == {404}


def test_a_turn_is_read_again_as_it_was_answered(found: dict[str, Any]) -> None:
    turn = found["turn"]
    assert turn["text"] == "My instructions say: “The quiet hour begins at ten.”"
    assert turn["again"]
    assert turn["step"]
    assert turn["session"]


def test_a_turn_with_a_document_is_streamed(found: dict[str, Any]) -> None:
    turn = found["turn"]
    assert turn["streamed"]
    assert turn["from_the_document"].startswith("The note says: water the plants.")
    frames = turn["frames"]
    assert frames[:2] == ["turn_start", "step_start"]
    assert frames[-2:] == ["step_complete", "turn_complete"]
    assert set(frames[2:-2]) == {"step_progress"}


def test_what_was_deleted_is_gone(found: dict[str, Any]) -> None:
    assert found["deleted_session"] == found["deleted_agent"] == 404
