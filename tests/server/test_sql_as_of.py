"""SQL as of an earlier position or time, through a server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from projections.user_views import NAMES
from tests.cli.folders import replaystack
from tests.server.api import Api
from tests.server.process import Replaystack, wait_until
from tests.server.sql_queries import asked, refusal
from tests.server.test_as_of import POSITION, now
from tests.servers.processes import RunningServer

pytestmark = pytest.mark.slow

COUNTS = {
    "turns": "SELECT count(*) FROM turns WHERE session_id = $id",
    "messages": "SELECT count(*) FROM messages WHERE session_id = $id",
    "spans": "SELECT count(*) FROM spans JOIN turns USING (trace_id) WHERE turns.session_id = $id",
    "traces": "SELECT sum(span_count)::BIGINT FROM traces JOIN turns USING (trace_id) WHERE turns.session_id = $id",
}


@pytest.fixture(scope="module")
def sql_server(
    tmp_path_factory: pytest.TempPathFactory, scripted_server: RunningServer
) -> Iterator[Replaystack]:
    data = tmp_path_factory.mktemp("sql") / "data"
    with Replaystack(data, model_url=scripted_server.base_url) as server:
        yield server
        server.check_healthy()
    assert server.wait() == 0


@pytest.fixture(scope="module")
def http(sql_server: Replaystack) -> Iterator[httpx.Client]:
    with sql_server.http() as client:
        yield client


def counts(http: httpx.Client, session_id: str, as_of: Any = None) -> dict[str, Any]:
    more = {} if as_of is None else {"as_of": as_of}
    found = {}
    for name, query in COUNTS.items():
        answer = asked(http, query, {"id": session_id}, **more)
        assert answer.status_code == 200, answer.text
        assert (POSITION in answer.headers) is (as_of is not None)
        found[name] = answer.json()["rows"][0][0]
    return found


def test_a_query_shows_what_was_there(
    http: httpx.Client, sql_server: Replaystack, scripted: RunningServer
) -> None:
    conversation = Api(http).conversation()
    session_id = conversation.session_id
    conversation.turn()
    first_time = now()
    first = counts(http, session_id, first_time)
    assert (first["turns"], first["messages"]) == (1, 2)
    assert first["spans"] == first["traces"] > 1
    position = int(asked(http, "SELECT 1", as_of=first_time).headers[POSITION])
    conversation.turn()
    assert counts(http, session_id)["turns"] == 2
    assert counts(http, session_id, first_time) == first
    # A position lasts until the next event: the span of the request ends after its answer.
    of_position = counts(http, session_id, position)
    assert of_position["turns"] == first["turns"] and of_position["spans"] >= first["spans"]
    # Two positions by turns in one process: a query of one does not see the other.
    for _ in range(2):
        assert counts(http, session_id, position) == of_position
        assert counts(http, session_id, str(position)) == of_position
        assert counts(http, session_id, 0)["turns"] == 0
        assert counts(http, session_id)["turns"] == 2
    query = f"SELECT count(*) AS n FROM turns WHERE session_id = '{session_id}'"
    options = ("--as-of", str(position), "--format", "csv", "--data", str(sql_server.data))
    assert replaystack("sql", query, *options).stdout.split() == ["n", "1"]


def test_every_view_has_a_past(http: httpx.Client) -> None:
    for name in NAMES:
        assert asked(http, f"SELECT * FROM {name}", as_of=0).json()["rows"] == [], name


def test_what_was_deleted_is_not_shown_at_any_position(http: httpx.Client, scripted: RunningServer) -> None:
    conversation = Api(http).conversation()
    conversation.turn()
    then = now()
    assert counts(http, conversation.session_id, then)["turns"] == 1
    path = f"/v1alpha/agents/{conversation.agent_id}/session/{conversation.session_id}"
    assert http.delete(path).status_code == 200
    # Queries that run while it is erased are ended.
    receipt = f"/v1alpha/erasures/{conversation.session_id}"
    wait_until(lambda: http.get(receipt).json().get("state") == "done")
    assert counts(http, conversation.session_id, then)["turns"] == 0


@pytest.mark.parametrize("as_of", [-1, 10**9, "soon", "2026-01-31", "2999-01-01T00:00:00Z", True, 1.5])
def test_no_other_moments(http: httpx.Client, as_of: Any) -> None:
    assert "as_of" in refusal(asked(http, "SELECT 1", as_of=as_of))
