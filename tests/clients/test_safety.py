"""Shields with llama-stack-client of both series."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.interpreters import OF_311, clients
from tests.server.process import Replaystack

REFUSAL = "I can't answer that. Can I help with something else?"


@pytest.fixture(scope="module", params=[*clients("0.2"), *clients("0.3")], ids=lambda client: client.version)
def found(request: pytest.FixtureRequest, server: Replaystack) -> dict[str, Any]:
    findings: dict[str, Any] = request.param.run("safety", server.url)
    return findings | {"version": request.param.version}


def test_shields_are_listed_and_read(found: dict[str, Any]) -> None:
    assert found["shields"] == [
        ["secrets", "pattern", "shield", "secrets"],
        ["guard", "llama-guard", "shield", "scripted/guard;word=bomb"],
        ["random", "llama-guard", "shield", "llama/tiny-random"],
    ]
    assert all(found["retrieved"])


def test_shields_are_run(found: dict[str, Any]) -> None:
    key = {"shield_id": "secrets", "violation_type": "key", "patterns": ["key"]}
    assert found["key"] == ["error", REFUSAL, key]
    assert found["bomb"] == ["error", REFUSAL, {"shield_id": "guard", "violation_type": "S1"}]
    assert found["no_key"] is found["cake"] is None
    assert found["parts"] == 200


def test_what_cannot_be_run_is_refused(found: dict[str, Any]) -> None:
    assert found["refused"] == [400, 400, 501]


def test_what_a_real_model_of_random_weights_says_is_not_a_verdict(found: dict[str, Any]) -> None:
    assert found["random"] == 502


def test_texts_are_moderated(found: dict[str, Any]) -> None:
    if found["version"] != OF_311:
        assert found["moderated"] == [[True, {"S1": True}, REFUSAL], [False, None, None]]


def test_shields_of_an_agent_are_steps_of_its_turns(found: dict[str, Any]) -> None:
    question, answer = ["shield_call", "user-input"], ["shield_call", "assistant-output"]
    assert found["turns"] == [
        [[question], ["S1"], REFUSAL],
        [[question, ["inference", None], answer], [None, None], "tea"],
    ]
    if "printed" in found:
        assert any("shield_call>" in line and REFUSAL in line for line in found["printed"]), found["printed"]


def test_routes_are_listed(found: dict[str, Any]) -> None:
    routes = found["routes"]
    assert ["POST", "/v1/safety/run-shield"] in routes
    assert ["POST", "/v1alpha/agents/{agent_id}/session/{session_id}/turn"] in routes
    assert ["POST", "/v1/shields"] not in routes
