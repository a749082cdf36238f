"""Datasets with llama-stack-client of both series."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.interpreters import clients
from tests.server.process import Replaystack


@pytest.fixture(scope="module", params=[*clients("0.2"), *clients("0.3")], ids=lambda client: client.version)
def found(request: pytest.FixtureRequest, server: Replaystack) -> dict[str, Any]:
    findings: dict[str, Any] = request.param.run("datasets", server.url)
    return findings


def test_a_dataset_is_registered_listed_and_read(found: dict[str, Any]) -> None:
    identifier, *rest = found["registered"]
    assert identifier.startswith("clients/")
    assert rest == ["localfs", "dataset", {"kind": "sums"}]
    assert found["retrieved"] and found["listed"]


def test_rows_come_in_pages_and_are_what_was_sent(found: dict[str, Any]) -> None:
    assert found["rows"]
    assert found["whole"] == (27 if found["appends"] else 25)


def test_a_data_uri_is_read(found: dict[str, Any]) -> None:
    assert found["of_uri"] == [{"question": "1+1?", "answer": 2}, {"question": "2+2?", "answer": 4}]


def test_the_same_again_is_the_same_and_another_is_refused(found: dict[str, Any]) -> None:
    assert (found["again"], found["other"]) == (200, 409)


def test_what_is_not_there_is_not_found(found: dict[str, Any]) -> None:
    assert (found["unknown"], found["gone"]) == ([404, 404], 404)
