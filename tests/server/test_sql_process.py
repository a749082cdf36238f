"""The processes that run SQL: when they start and end, and what they leave."""

from __future__ import annotations

import resource
import threading
from typing import Any

import httpx
import pytest

from tests.server.api import Api
from tests.server.conftest import FreshServer
from tests.server.process import wait_until
from tests.server.sql_queries import ENDLESS, SQL, asked, busy_worker, refusal, rows, workers

pytestmark = pytest.mark.slow


def test_a_client_that_does_not_read_frees_its_place(fresh_server: FreshServer) -> None:
    server = fresh_server(sql_timeout_s=8.0, sql_queries=1, sql_max_rows=10_000_000)
    with server.http() as http, server.http() as slow:
        rows(http, "SELECT 1")
        large = {"query": "SELECT repeat('x', 1000) FROM range(30000)"}
        with slow.stream("POST", SQL, json=large, timeout=60) as answer:
            assert answer.status_code == 200
            # Waits for the only place until the result that is not read is ended.
            assert rows(http, "SELECT 1") == [[1]]
            with pytest.raises(httpx.RemoteProtocolError):
                answer.read()


def test_no_process_before_the_first_query_and_none_after_the_server(fresh_server: FreshServer) -> None:
    server = fresh_server()
    assert workers(server) == []
    with server.http() as http:
        rows(http, "SELECT 1")
        wait_until(lambda: len(workers(server)) == 2)
    assert list((server.data / "sql").iterdir()) == []
    left = workers(server)
    server.kill9()
    wait_until(lambda: not any(one.is_running() for one in left))


def test_a_query_does_not_outlive_the_server(fresh_server: FreshServer) -> None:
    server = fresh_server()
    with server.http() as http:
        answers: list[Any] = []

        def ask() -> None:
            try:
                answers.append(asked(http, ENDLESS).status_code)
            except httpx.HTTPError as error:
                answers.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        busy = busy_worker(server)
        assert server.stop() == 0
        thread.join()
    assert answers
    wait_until(lambda: not busy.is_running())


def test_erased_content_is_in_no_snapshot(fresh_server: FreshServer) -> None:
    server = fresh_server()
    with server.http() as http:
        conversation = Api(http).conversation()
        conversation.turn()
        query = "SELECT count(*) FROM turns"
        assert rows(http, query) == [[1]]
        old = workers(server)
        path = f"/v1alpha/agents/{conversation.agent_id}/session/{conversation.session_id}"
        assert http.delete(path).status_code == 200
        receipt = f"/v1alpha/erasures/{conversation.session_id}"
        wait_until(lambda: http.get(receipt).json().get("state") == "done")
        assert sum(one.is_running() for one in old) <= 1  # The spare one has no snapshot.
        assert rows(http, query) == [[0]]


def file_limit(pid: int, *limits: tuple[int, int]) -> tuple[int, int]:
    """Sets or returns the largest size of a file that the process may write."""
    return resource.prlimit(pid, resource.RLIMIT_FSIZE, *limits)


def test_a_full_disk_is_told_and_loses_nothing(fresh_server: FreshServer) -> None:
    server = fresh_server()
    with server.http() as http:
        rows(http, "SELECT 1")
        wait_until(lambda: len(workers(server)) == 2)
        [spare] = [one.pid for one in workers(server) if file_limit(one.pid) != (0, 0)]
        file_limit(spare, (1000, resource.RLIM_INFINITY))
        conversation = Api(http).conversation()
        assert "copied" in refusal(asked(http, "SELECT 1"), 503)
        assert list((server.data / "sql").iterdir()) == []
        assert rows(http, "SELECT count(*) FROM sessions") == [[1]]
        conversation.turn()
