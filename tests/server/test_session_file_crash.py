"""Imported sessions through crashes and restarts: all or nothing, and nothing is run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from uuid import uuid4

import httpx
import pytest
from msgspec.structs import replace

from schemas.events.turn import TurnInputRequested
from stack.cli.connection import AnswerError
from stack.cli.session_transfer import whole
from stack.services.replay.session_record import SessionRecord
from tests.server.api import Api, Conversation, check_error
from tests.server.conftest import FreshServer
from tests.server.process import Replaystack, wait_until
from tests.server.session_files import (
    LONG,
    changed,
    exported,
    import_,
    imported,
    resealed,
    shown,
)
from tests.server.test_damaged_events import damage
from tests.server.tool_calls import waiting, weather_man
from tests.servers.processes import RunningServer

pytestmark = pytest.mark.slow

GROUP = "builtin::code_interpreter"
ASKING = 'scripted/tools;name=code_interpreter;arguments={"code":"6 * 7"}'


@pytest.mark.parametrize("pause_s", [0.0, 0.02, 0.1])
def test_a_crash_during_an_import_leaves_all_or_nothing(
    api: Api, fresh_server: FreshServer, pause_s: float
) -> None:
    conversation = api.conversation()
    for number in range(3):
        conversation.turn(LONG + str(number))
    file = exported(conversation)
    server = fresh_server()
    with server.http() as http:
        sending = Thread(target=lambda: suppressed(lambda: import_(Api(http), file)))
        sending.start()
        time.sleep(pause_s)
        server.kill9()
        sending.join()
    server.restart()
    with server.http() as http:
        found = http.get(f"/v1alpha/sessions/{conversation.session_id}")
        if found.status_code == 404:
            imported(Api(http), file)
        copy = Conversation(Api(http), conversation.agent_id, conversation.session_id)
        assert shown(copy) == shown(conversation)


def suppressed(work: Callable[[], object]) -> None:
    with suppress(httpx.HTTPError):
        work()


def test_an_import_survives_a_crash_and_runs_nothing(
    api: Api, fresh_server: FreshServer, scripted: RunningServer
) -> None:
    conversation = weather_man(api)
    turn_id = waiting(conversation)["turn_id"]
    server = fresh_server()
    with server.http() as http:
        copy = imported(Api(http), exported(conversation))
    server.kill9()
    server.restart()
    before = scripted.counts()["requests"]
    with server.http() as http:
        copy = Conversation(Api(http), copy.agent_id, copy.session_id)
        assert shown(copy) == shown(conversation)
        assert copy.outcome(turn_id)["status"] == "awaiting_input"
    assert scripted.counts()["requests"] == before


def test_an_imported_approval_is_not_decided_by_its_deadline(fresh_server: FreshServer) -> None:
    def asking(name: str, timeout_s: float) -> Replaystack:
        groups = [{"id": GROUP, "approval": [{}], "approval_timeout_s": timeout_s}]
        return fresh_server(name, {"REPLAYSTACK_TOOLGROUPS": json.dumps(groups)})

    def pending(api: Api) -> list[str]:
        answer = api.http.get("/v1alpha/approvals", params={"status": "pending"})
        return [one["session_id"] for one in answer.json()["data"]]

    def overdue(record: SessionRecord) -> SessionRecord:
        [(turn_id, events)] = record.turns.items()
        earlier = [
            one._replace(event=replace(one.event, deadline=1))
            if isinstance(one.event, TurnInputRequested)
            else one
            for one in events
        ]
        return replace(record, turns={turn_id: earlier})

    with asking("source", 3_600).http() as http:
        conversation = Api(http).conversation(ASKING, toolgroups=[GROUP])
        turn_id = conversation.post("Compute.").json()["turn_id"]
        file = changed(exported(conversation), overdue)
    server = asking("target", 0.2)
    with server.http() as http:
        copy = imported(Api(http), file)
    server.kill9()
    server.restart()
    with server.http() as http:
        api = Api(http)
        own = api.conversation(ASKING, toolgroups=[GROUP])
        own.post("Compute.")
        # The deadline of its own turn passes, which the server watches in the order of deadlines.
        assert wait_until(lambda: own.session_id not in pending(api))
        assert pending(api) == [copy.session_id]
        copy = Conversation(api, copy.agent_id, copy.session_id)
        assert copy.outcome(turn_id)["status"] == "awaiting_input"
        assert copy.turn("Never mind.")["output_message"]
        assert copy.outcome(turn_id)["status"] == "abandoned"


def test_an_approval_is_not_imported_twice(fresh_server: FreshServer) -> None:
    groups = [{"id": GROUP, "approval": [{}]}]
    server = fresh_server(environment={"REPLAYSTACK_TOOLGROUPS": json.dumps(groups)})
    with server.http() as http:
        api = Api(http)
        conversation = api.conversation(ASKING, toolgroups=[GROUP])
        conversation.post("Compute.").raise_for_status()
        file = exported(conversation)
        [approval] = http.get("/v1alpha/approvals").json()["data"]
        check_error(import_(api, file), 409, conversation.session_id, "with the content of the file")
        session, turn = str(uuid4()), str(uuid4())
        other = file.replace(conversation.session_id.encode(), session.encode())
        other = resealed(other.replace(conversation.only_turn_id().encode(), turn.encode()))
        check_error(import_(api, other), 409, approval["approval_id"], "of another turn")
        check_error(http.get(f"/v1alpha/sessions/{session}"), 404)


def test_an_export_of_damaged_events_says_so(fresh_server: FreshServer) -> None:
    server = fresh_server()
    with server.http() as http:
        conversation = Api(http).conversation()
        conversation.turn(LONG)
        turn_id = conversation.turn()["turn_id"]
    server.kill9()
    damage(server, "turn.step_completed", f"turn/{turn_id}")
    server.restart()
    with server.http() as http:
        answer = http.get(f"{conversation.path}/export")
        assert answer.status_code == 200
        *_, last = answer.content.splitlines()
        assert json.loads(last)["line"] == "error" and "is damaged" in json.loads(last)["detail"]
        with pytest.raises(AnswerError, match="is damaged"):
            list(whole(iter([answer.content[:1000], answer.content[1000:]])))
        check_error(import_(Api(http), answer.content), 400, "truncated")
