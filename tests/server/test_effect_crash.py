"""Turns with tools, code and approvals, and a server that is killed again and again: no effect happens twice, no
decision is lost or misapplied, no session is stuck."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import Struct

from tests.server.api import Api, Conversation
from tests.server.conftest import FreshServer
from tests.server.process import Replaystack, wait_until
from tests.servers.processes import running

KILLS = 15
LONGEST_S = 0.3
THREADS = 2
CODE = "first = write(line='{id}-a', seconds=0.02)\\nsecond = sign(line='{id}-b')\\nprint(first, second)"
KINDS = ("tool", "code", "approval")
GROUPS = ["mcp::journal", "builtin::code_interpreter"]

pytestmark = pytest.mark.slow


class Known(Struct):
    """A turn, and what was decided on its calls: `decided` holds the decisions that the server acknowledged."""

    kind: str
    id: str
    conversation: tuple[str, str]
    turn_id: str = ""
    decided: list[str] = []


def model_of(kind: str, id: str) -> str:
    if kind == "code":
        code = CODE.replace("{id}", id)
        return f'scripted/tools;name=code_interpreter;arguments={{"code":"{code}"}}'
    name, arguments = ("write", f'{{"line":"{id}-a","seconds":0.05}}')
    if kind == "approval":
        name, arguments = "sign", f'{{"line":"{id}-b"}}'
    return f"scripted/tools;name={name};arguments={arguments}"


class Load:
    """Opens turns and decides approvals, while the server lives."""

    def __init__(self) -> None:
        self.turns: list[Known] = []
        self._numbers = itertools.count(1)
        self._random = random.Random(7)

    def run(self, server: Replaystack, stop: threading.Event) -> None:
        try:
            with server.http() as http:
                api = Api(http)
                for kind in itertools.cycle(KINDS):
                    if stop.is_set():
                        return
                    self._open(api, kind)
                    self.decide(http)
        except (httpx.HTTPError, AssertionError, KeyError, json.JSONDecodeError):
            return  # it was killed meanwhile

    def _open(self, api: Api, kind: str) -> None:
        id = f"t{next(self._numbers)}"
        conversation = api.conversation(model_of(kind, id), toolgroups=GROUPS)
        turn = Known(kind, id, (conversation.agent_id, conversation.session_id))
        self.turns.append(turn)
        with conversation.http.stream(
            "POST",
            f"{conversation.path}/turn",
            json={"messages": [{"role": "user", "content": "Go."}], "stream": True},
        ) as answer:
            assert answer.status_code == 200
            turn.turn_id = answer.headers["x-turn-id"]

    def decide(self, http: httpx.Client) -> int:
        """Decides what is pending. A call of an even number is approved. Returns how many were pending."""
        pending = http.get("/v1alpha/approvals", params={"status": "pending"}).json()["data"]
        for one in pending:
            id = json.loads(one["arguments"])["line"].partition("-")[0]
            decision = "approve" if int(id[1:]) % 2 == 0 else "deny"
            body = {"decision": decision, "digest": one["digest"]}
            answer = http.post(f"/v1alpha/approvals/{one['approval_id']}", json=body)
            assert answer.status_code in (200, 409), answer.text
            if answer.status_code == 200:
                next(turn for turn in self.turns if turn.id == id).decided.append(decision)
        return len(pending)


def test_no_effect_happens_twice(fresh_server: FreshServer, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.touch()
    with running("tests.servers.mcp_journal", "--journal", str(journal)) as tools:
        group = {
            "id": "mcp::journal",
            "url": f"http://127.0.0.1:{tools.port}/mcp",
            "approval": [{"tools": ["sign"]}],
        }
        environment = {"REPLAYSTACK_TOOLGROUPS": json.dumps([group])}
        server = fresh_server(environment=environment, restart_limit=1000)
        load = Load()
        moments = random.Random(11)
        for _ in range(KILLS):
            stop = threading.Event()
            before = journal.stat().st_size
            threads = [threading.Thread(target=load.run, args=(server, stop)) for _ in range(THREADS)]
            for thread in threads:
                thread.start()
            # From the first effect on, so that each life has some.
            wait_until(lambda size=before: journal.stat().st_size > size)
            time.sleep(moments.uniform(0.0, LONGEST_S))
            server.kill9()
            stop.set()
            for thread in threads:
                thread.join()
            server.start()
        with server.http() as http:
            check(load, http, journal)


def check(load: Load, http: httpx.Client, journal: Path) -> None:
    api = Api(http)
    end = time.monotonic() + 120
    while time.monotonic() < end:
        pending = load.decide(http)
        states = [state_of(api, turn) for turn in load.turns if turn.turn_id]
        if not pending and all(state != "running" and state != "awaiting_input" for state in states):
            break
        time.sleep(0.1)
    lines = Counter(journal.read_text().split())
    assert set(lines.values()) <= {1}, lines.most_common(5)
    assert len(load.turns) > KILLS // 2
    effects = http.get("/v1alpha/effects").json()["data"]
    assert {one["status"] for one in effects} <= {"done", "unknown", "failed"}
    seen = Counter[str]()
    for turn in load.turns:
        if turn.turn_id:
            seen[check_turn(api, turn, lines)] += 1
    assert seen["completed"] == sum(seen.values()) > KILLS, seen


def state_of(api: Api, turn: Known) -> str:
    status: str = Conversation(api, *turn.conversation).outcome(turn.turn_id)["status"]
    return status


def check_turn(api: Api, turn: Known, lines: Counter[str]) -> str:
    conversation = Conversation(api, *turn.conversation)
    told: dict[str, Any] = conversation.get(turn.turn_id).json()
    [step] = [step for step in told["steps"] if step["step_type"] == "tool_execution"]
    content = str(step["tool_responses"][0]["content"])
    approved = int(turn.id[1:]) % 2 == 0
    assert len(turn.decided) <= 1, turn
    if not approved:
        assert lines[f"{turn.id}-b"] == 0, "a denied call was made"
    for part, tool in (("a", turn.kind != "approval"), ("b", turn.kind != "tool" and approved)):
        if tool and f"wrote {turn.id}-{part}" in content:
            assert lines[f"{turn.id}-{part}"] == 1
    if "unknown" not in content and not approved and turn.kind == "approval":
        assert content == "The call was denied."
    assert conversation.post("Again, please.").status_code == 200, "the session goes on"
    return conversation.outcome(turn.turn_id)["status"]  # type: ignore[no-any-return]
