"""Every error has the contract's body, whatever raised it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from litestar import Litestar, get
from litestar.exceptions import HTTPException
from litestar.params import FromPath, FromQuery
from litestar.testing import TestClient

from stack import errors
from stack.errors import ReplaystackError
from stack.http.error import error_response_parts, exception_handlers

KINDS = [kind for kind in ReplaystackError.__subclasses__() if kind.__module__ == "stack.errors"]


def parts(error: Exception) -> tuple[int, dict[str, str], dict[str, Any]]:
    status, headers, body = error_response_parts(error)
    named = {name.decode(): value.decode() for name, value in headers}
    assert named["content-type"] == "application/json"
    assert named["content-length"] == str(len(body))
    return status, named, json.loads(body)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_its_status_and_title(kind: type[ReplaystackError]) -> None:
    status, headers, body = parts(kind("What is wrong."))
    assert body == {"status": kind.status, "title": kind.title, "detail": "What is wrong."}
    assert status == kind.status
    assert ("x-should-retry" in headers) == (kind.status in (409, 413, 500, 501))
    assert ("retry-after" in headers) == (kind.status in (429, 503))


def test_a_failure_after_a_model_ran_is_final() -> None:
    _, headers, body = parts(errors.UpstreamFailed("It died.", should_retry=False, instance="/turn/1"))
    assert headers["x-should-retry"] == "false"
    assert body["instance"] == "/turn/1"


def test_a_conflict_may_be_worth_another_try() -> None:
    assert "x-should-retry" not in parts(errors.Conflict("Not yet.", should_retry=True))[1]


@pytest.mark.parametrize(("said", "sent"), [(None, "1"), (0, "1"), (7, "7"), (3600, "60"), (-5, "1")])
def test_retry_after_is_between_1_and_60_seconds(said: int | None, sent: str) -> None:
    assert parts(errors.Unavailable("Later.", retry_after=said))[1]["retry-after"] == sent


def test_the_inside_stays_inside() -> None:
    status, _, body = parts(KeyError("the password"))
    assert status == 500
    assert "password" not in json.dumps(body)


def test_text_that_is_no_unicode_can_be_quoted() -> None:
    assert "There is no" in parts(errors.NotFound("There is no agent \ud800."))[2]["detail"]


@get("/agents/{agent_id:int}")
async def known(agent_id: FromPath[int], limit: FromQuery[int]) -> None:
    raise errors.Conflict(f"{agent_id} {limit}")


@get("/broken")
async def broken() -> None:
    raise RuntimeError("hunter2")


@get("/teapot/{status:int}")
async def any_status(status: FromPath[int]) -> None:
    raise HTTPException(status_code=status, detail="Of the framework")


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/agents/1?limit=2", 409, "1 2"),
        ("GET", "/agents/1?limit=x", 400, "limit"),
        ("GET", "/agents/1", 400, "limit"),
        ("GET", "/agents/x?limit=1", 404, "/agents/x"),
        ("GET", "/agent/1", 404, "/agents/{agent_id}"),
        ("DELETE", "/broken", 405, "GET"),
        ("GET", "/broken", 500, "log"),
        ("GET", "/teapot/429", 429, "framework"),
        ("GET", "/teapot/503", 500, "log"),
        ("GET", "/teapot/418", 400, "framework"),
    ],
)
def test_errors_inside_the_application(method: str, path: str, status: int, words: str) -> None:
    app = Litestar([known, broken, any_status], exception_handlers=exception_handlers(), openapi_config=None, logging_config=None)  # type: ignore[arg-type]  # fmt: skip
    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.request(method, path)
    body = answer.json()
    assert answer.status_code == status == body["status"]
    assert set(body) == {"status", "title", "detail"}
    assert words in body["detail"]
    assert "hunter2" not in answer.text
    assert (answer.headers.get("allow") is not None) == (status == 405)
