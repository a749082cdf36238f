"""llama-stack-client 0.3.x and its `client.alpha.agents`, where a Python that runs it is found."""

from __future__ import annotations

from typing import Any

import pytest

from stack.version import VERSION
from tests.clients.interpreters import clients
from tests.server.process import Replaystack

MODEL = "demo/extractive"
BEGINS = ["turn_start", "step_start"]
WAITS = ["step_complete", "turn_awaiting_input"]
RESUMED = ["step_start", "step_complete", "step_start"]
ENDS = ["step_complete", "turn_complete"]
CLIENTS = clients("0.3")

if CLIENTS:

    @pytest.fixture(scope="module", params=CLIENTS, ids=lambda client: client.version)
    def found(request: pytest.FixtureRequest, server: Replaystack) -> dict[str, Any]:
        wanted = {"model": MODEL, "tool_model": "scripted/tools", "forced_model": "llama/tiny-random"}
        findings: dict[str, Any] = request.param.run("alpha_0_3", server.url, wanted)
        return findings

    def test_what_there_is_is_listed(found: dict[str, Any]) -> None:
        assert {MODEL, "scripted/tools", "llama/tiny-random"} <= set(found["models"])
        assert found["openai_models"] == found["models"]
        assert found["model"] == MODEL
        assert {"scripted", "llama", "demo", "replaystack", "localfs"} <= set(found["providers"])
        assert "builtin::code_interpreter" in found["toolgroups"]
        assert found["tool"] == "code_interpreter" and found["listed"] == [["code_interpreter"]] * 2
        assert "42" in str(found["invoked"])
        assert (found["health"], found["version"]) == ("OK", VERSION)
        assert found["refused"] == [501, 501, 501]

    @pytest.mark.parametrize("way", ["streamed", "whole", "forced"])
    def test_client_tools_run_and_the_turn_goes_on(found: dict[str, Any], way: str) -> None:
        turn = found["tools"][way]
        assert turn["waited"]["calls"] == 1
        assert turn["waited"]["stop_reason"] == "end_of_message"
        assert not turn["waited"]["completed"]
        assert turn["rounds"] == 1
        assert turn["steps"] == ["inference", "tool_execution", "inference"]
        assert turn["output"]["calls"] == 0
        assert turn["output"]["text"]
        assert turn["metadata"] == [{"ms": 1}]
        assert turn["stored"]
        assert turn["each_step"]

    @pytest.mark.parametrize("way", ["streamed", "forced"])
    def test_a_resumed_stream_goes_on_with_the_tools(found: dict[str, Any], way: str) -> None:
        first, second = found["tools"][way]["kinds"]
        assert (first[:2], first[-2:]) == (BEGINS, WAITS)
        assert (second[:3], second[-2:]) == (RESUMED, ENDS)
        assert set(first[2:-2]) == set(second[3:-2]) == {"step_progress"}

    def test_a_turn_that_does_not_wait_cannot_be_resumed(found: dict[str, Any]) -> None:
        assert {turn["again"] for turn in found["tools"].values()} == {409}

    def test_agents_and_sessions_are_read_in_pages(found: dict[str, Any]) -> None:
        assert found["sessions"] == {"names": ["first"], "has_more": True}
        assert found["agent"] == {
            "model": MODEL,
            "listed": True,
            "text": "My instructions say: “The hour begins at ten.”",
            "turns": 1,
            "none_of_them": 0,
        }

    def test_what_was_deleted_is_gone(found: dict[str, Any]) -> None:
        assert found["gone"] == [404, 404]
