"""`kill -9` at random moments under load: nothing that was acknowledged is lost, and nothing happens twice."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from schemas.events.session import SessionTurnOpened
from stack.domain import turn as turns
from stack.domain.turn import TurnState
from stack.event_log import open_store
from stack.eventstore import Recorded, stream_name
from stack.eventstore.sqlite.verify import verify
from stack.services.turns.turn_frames import turn_wire
from tests.server.api import Api, Conversation
from tests.server.crash_load import ANSWER, Asked, Load, Said, counting_model
from tests.server.process import Replaystack, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.long]

FOLDERS = 5
KILLS_PER_FOLDER = 11
LOAD_S = 0.3
"""A kill comes at a random moment of this: a turn takes about 60 ms, six clients have one each under way."""
RECOVERY_S = 0.12
"""One kill in four comes at a random moment of the start after another kill, while turns are taken up."""

SessionShown = dict[str, Any]


def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    seed = int(os.environ.get("REPLAYSTACK_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
    kills = 0
    try:
        with counting_model() as (model_url, asked):
            for number in range(FOLDERS):
                folder = Folder(tmp_path / f"data-{number}", model_url, asked, seed + number)
                kills += folder.run()
    except BaseException as error:
        error.add_note(f"REPLAYSTACK_TEST_SEED={seed}")
        raise
    assert kills >= 50


class Folder:
    """One data folder through its kills."""

    def __init__(self, data: Path, model_url: str, asked: Asked, seed: int) -> None:
        # A turn may be under way at many kills in a row; that it is given up some time is not of interest here.
        settings = {"restart_limit": 1000}
        self.server = Replaystack(data, model_url=model_url, settings=settings)
        self.asked = asked
        self.random = random.Random(seed)
        self.load = Load(seed)

    def run(self) -> int:
        """Kills and starts it; returns how often it was killed."""
        kills = 0
        self.server.start()
        try:
            self.load.prepare(self.server)
            while kills < KILLS_PER_FOLDER:
                self.load.begin(self.server)
                time.sleep(self.random.uniform(0.0, LOAD_S))
                self.server.kill9()
                asked = self.asked.by_marker.copy()
                kills += 1
                self.load.end()
                self.note(asked)
                if self.random.random() < 0.25:
                    self.server.start()
                    time.sleep(self.random.uniform(0.0, RECOVERY_S))
                    self.server.kill9()
                    kills += 1
                self.server.start()
                self.check()
            shown = self.check()
            self.go_on(shown)
            shown = self.check()
            self.server.check_healthy()
            assert self.server.stop() == 0
            asyncio.run(self.compare_with_the_log(shown))
        finally:
            if self.server.running:
                self.server.kill9()
        return kills

    def note(self, asked: Counter[str]) -> None:
        """How often the model had been asked for each step that its client knows to be complete."""
        for said in self.load.told.said:
            if said.step_is_complete and not said.asked_by_then:
                said.asked_by_then = asked[said.marker]

    def check(self) -> dict[str, SessionShown]:
        """All that was acknowledged is there, every turn ends, and nothing ran twice. Returns the sessions."""
        told = self.load.told
        assert not told.surprises, told.surprises
        with self.server.http() as http:
            self.check_agents(http)
            shown = {session_id: self.ended(http, session_id) for session_id in told.sessions}
        for session_id, name in told.sessions.items():
            assert shown[session_id]["session_name"] == name
        for session in shown.values():
            self.check_turns(session)
        by_marker = _by_marker(shown)
        for said in told.said:
            self.check_said(said, by_marker.get(said.marker))
        return shown

    def check_agents(self, http: httpx.Client) -> None:
        told = self.load.told
        listed = {
            agent["agent_id"]: agent["agent_config"]["name"] for agent in Api(http).agents().json()["data"]
        }
        for agent_id, name in told.agents.items():
            if agent_id in told.gone:
                assert agent_id not in listed, "a deleted agent is back"
            elif agent_id not in told.perhaps_gone:
                assert listed.get(agent_id) == name, "a created agent is lost"

    def ended(self, http: httpx.Client, session_id: str) -> SessionShown:
        """The session, once each turn of it has ended: by itself."""
        conversation = Conversation(Api(http), self.load.agent_id, session_id)

        def shown() -> SessionShown | None:
            session = conversation.show()
            return session if all("completed_at" in turn for turn in session["turns"]) else None

        found = wait_until(shown, 20.0)
        assert found is not None
        return found

    def check_turns(self, session: SessionShown) -> None:
        """Each turn ended well, with one inference, and the model was asked for it no more often than needed."""
        for turn in session["turns"]:
            assert turn["output_message"]["content"] == ANSWER, turn
            assert [step["model_response"]["content"] for step in turn["steps"]] == [ANSWER], turn
        markers = Counter(_marker(turn) for turn in session["turns"])
        assert not [marker for marker, count in markers.items() if count > 1], "a turn is there twice"

    def check_said(self, said: Said, turn: dict[str, Any] | None) -> None:
        """The parts of a turn that one client received are recorded."""
        heard = said.frames
        if said.turn is not None:
            assert turn == said.turn, "an answered turn is lost or changed"
        elif heard:
            assert turn is not None, "a turn whose stream had begun is lost"
        for frame in heard:
            match frame.kind:
                case "turn_start":
                    assert turn is not None and turn["turn_id"] == frame.payload["turn_id"]
                case "step_complete":
                    assert turn is not None and turn["steps"] == [frame.payload["step_details"]]
                case "turn_complete":
                    assert turn == frame.payload["turn"]
                case "error":
                    raise AssertionError(frame)
        if said.asked_by_then:
            assert self.asked.by_marker[said.marker] == said.asked_by_then, "a finished step ran again"

    def go_on(self, shown: dict[str, SessionShown]) -> None:
        """No session is wedged: each takes another turn."""
        with self.server.http() as http:
            for session_id, session in shown.items():
                conversation = Conversation(Api(http), self.load.agent_id, session_id)
                said = Said(session_id)
                said.turn = conversation.turn(said.marker)
                self.load.told.said.append(said)
                assert len(conversation.show()["turns"]) == len(session["turns"]) + 1

    async def compare_with_the_log(self, shown: dict[str, SessionShown]) -> None:
        """The view is the fold of the log, and each request to the model stands in it."""
        report = verify(self.server.data)
        assert report.ok, report.problems
        store = open_store(self.server.data)
        try:
            for session_id, session in shown.items():
                opened = [
                    recorded.event.turn_id
                    for recorded in await store.read_stream(stream_name("session", session_id))
                    if isinstance(recorded.event, SessionTurnOpened)
                ]
                assert [turn["turn_id"] for turn in session["turns"]] == opened
                for turn in session["turns"]:
                    recorded = await store.read_stream(stream_name("turn", turn["turn_id"]))
                    assert msgspec.to_builtins(_wire(turn["turn_id"], recorded)) == turn
                    self.check_inferences(turn, recorded)
        finally:
            store.close()

    def check_inferences(self, turn: dict[str, Any], recorded: list[Recorded]) -> None:
        names = [str(one.event.__struct_config__.tag) for one in recorded]
        assert names[0] == "turn.started.1" and names[-2:] == ["turn.step_completed.1", "turn.completed.1"]
        assert names.count("turn.step_completed.1") == 1
        # A request is made once its step is recorded, and a step is begun once its restart is: a kill may come
        # between the two.
        begun, restarts = names.count("turn.step_started.1"), names.count("turn.restarted.1")
        assert 1 <= self.asked.by_marker[_marker(turn)] <= begun <= restarts + 1


def _wire(turn_id: str, recorded: list[Recorded]) -> Any:
    state = TurnState()
    for one in recorded:
        state = turns.evolve(state, one.event, one.recorded_at, one.version)
    return turn_wire(turn_id, state)


def _marker(turn: dict[str, Any]) -> str:
    return str(turn["input_messages"][0]["content"])


def _by_marker(shown: dict[str, SessionShown]) -> dict[str, dict[str, Any]]:
    return {_marker(turn): turn for session in shown.values() for turn in session["turns"]}
