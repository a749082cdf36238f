"""SQL queries to a server, and the processes that run them."""

from __future__ import annotations

from typing import Any

import httpx
import psutil

from tests.server.process import Replaystack, wait_until

SQL = "/v1alpha/sql"
ENDLESS = "SELECT count(*) FROM range(1000000000000)"


def asked(http: httpx.Client, query: str, parameters: Any = None, **more: Any) -> httpx.Response:
    body = {"query": query, **({} if parameters is None else {"parameters": parameters}), **more}
    return http.post(SQL, json=body, timeout=60)


def rows(http: httpx.Client, query: str, parameters: Any = None) -> list[list[Any]]:
    answer = asked(http, query, parameters)
    assert answer.status_code == 200, answer.text
    found: list[list[Any]] = answer.json()["rows"]
    return found


def refusal(answer: httpx.Response, status: int = 400) -> str:
    assert answer.status_code == status, answer.text
    detail: str = answer.json()["detail"]
    return detail


def workers(server: Replaystack) -> list[psutil.Process]:
    """The processes that run SQL."""
    found = []
    for one in psutil.Process(server.pid).children(recursive=True):
        try:
            if "stack.providers.sql.worker" in one.cmdline():
                found.append(one)
        except psutil.NoSuchProcess:
            continue
    return found


def busy_worker(server: Replaystack) -> psutil.Process:
    """A worker that has computed for a while: it runs an endless query."""
    found: list[psutil.Process] = []

    def computes() -> bool:
        used = [(sum(one.cpu_times()[:2]), one) for one in workers(server)]
        found[:] = [one for seconds, one in used if seconds > 2]
        return bool(found)

    wait_until(computes)
    return found[0]
