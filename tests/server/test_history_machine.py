"""Histories of sessions as hypothesis makes them up: after each step view and log agree and nothing is wedged.

A step is a request (or a `kill -9`); what should come of it is known here too, in a few fields per turn.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from tests.server.api import Api, Conversation, Frame, check_error, parse, turn_body
from tests.server.folded_log import FoldedLog
from tests.server.process import Replaystack, wait_until
from tests.server.tool_calls import WEATHER, late, rain, user
from tests.servers.processes import RunningServer

pytestmark = [pytest.mark.slow, pytest.mark.long]

MODEL = "scripted/text;chunks=2"
MAX_INFERENCES = 3
RETRY = {"x-stainless-retry-count": "1"}
OPEN = ("running", "awaiting_input")
RECORDED = ("turn_start", "step_start", "step_complete", "turn_awaiting_input", "turn_complete", "error")
CI = bool(os.environ.get("CI"))

SCRIPTS = {
    "text": "text;chunks=3",
    "one call": "tools;again=1;pieces=2",
    "two calls": "tools;again=1;calls=2",
    "no json": "tools;again=1;arguments={nonsense",
    "no tool": "tools;again=1;name=oracle",
    "refused": "status;code=500",
    "cut": "cut;chunks=2;gap_ms=5",
    "error": "error;chunks=1",
    "stall": "stall;chunks=2",
}
CALLS = {"one call": ("call_0",), "two calls": ("call_0", "call_1")}
FAILING = ("refused", "cut", "error")
scripts = st.sampled_from([*SCRIPTS, "one call", "one call", "two calls", "text"])


class KnownTurn:
    """The known state of a turn from the responses to requests."""

    def __init__(self, turn_id: str) -> None:
        self.turn_id = turn_id
        self.status = "running"
        self.pending: tuple[str, ...] = ()
        self.inferences = 0
        self.seen: dict[str, str] = {}
        self.last_replay = b""

    def see(self, frames: list[Frame]) -> None:
        """Notes recorded frames: they were acknowledged, so they must come again unchanged."""
        for frame in frames:
            if frame.kind in RECORDED:
                assert self.seen.setdefault(frame.id, frame.data) == frame.data

    def infers(self, script: str) -> None:
        """Follows one inference and what it leads to."""
        self.inferences += 1
        self.pending = ()
        if script in CALLS and self.inferences < MAX_INFERENCES:
            self.status, self.pending = "awaiting_input", CALLS[script]
        elif script in FAILING:
            self.status = "failed"
        else:
            self.status = "running" if script == "stall" else "completed"


class KnownSession:
    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.turns: list[KnownTurn] = []
        self.last_post: tuple[str, dict[str, Any], KnownTurn] | None = None

    @property
    def open_turn(self) -> KnownTurn | None:
        return next((turn for turn in self.turns if turn.status in OPEN), None)


class World:
    """The server under test and its log."""

    def __init__(self, server: Replaystack, scripted: RunningServer) -> None:
        self.server = server
        self.scripted = scripted
        self.log = FoldedLog(server.data)
        self.client = server.http()
        self.numbers = count(1)

    def crash(self) -> None:
        self.client.close()
        self.server.kill9()
        self.server.start()
        self.client = self.server.http()

    def find(self, conversation: Conversation) -> Conversation:
        return Conversation(Api(self.client), conversation.agent_id, conversation.session_id)


class History(RuleBasedStateMachine):
    """One agent, up to two sessions."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.crashes = 0
        self.sessions: list[KnownSession] = []
        self.agent_id = Api(world.client).create_agent(
            MODEL, client_tools=[WEATHER], max_infer_iters=MAX_INFERENCES
        )
        self.create_session()

    @precondition(lambda self: len(self.sessions) < 2)
    @rule()
    def create_session(self) -> None:
        api = Api(self.world.client)
        conversation = Conversation(api, self.agent_id, api.create_session(self.agent_id))
        self.sessions.append(KnownSession(conversation))

    @rule(which=st.integers(0, 1), script=scripts, stream=st.booleans(), responses=st.booleans())
    def turn(self, which: int, script: str, stream: bool, responses: bool) -> None:
        session = self._session(which)
        waiting = session.open_turn
        messages: list[Any] = [user(f"Question {next(self.world.numbers)}")]
        if responses and waiting is not None:
            messages += [late(call_id, f"late {next(self.world.numbers)}") for call_id in waiting.pending]
        body = turn_body(messages, stream=stream or script == "stall")
        path = f"{session.conversation.path}/turn"
        if waiting is not None and waiting.status == "running":
            check_error(self.world.client.post(path, json=body), 409, waiting.turn_id)
            if script != "stall":
                self.cancel(which, 0)
        else:
            made = self._post(session, path, body, script, None)
            if waiting is not None:
                waiting.status, waiting.pending = "abandoned", ()
            session.turns.append(made)
        self._check(session)

    @precondition(lambda self: self._waiting())
    @rule(which=st.integers(0, 1), script=st.sampled_from([*SCRIPTS, "stall"]), stream=st.booleans())
    def resume(self, which: int, script: str, stream: bool) -> None:
        waiting = self._waiting()
        session, turn = waiting[which % len(waiting)]
        content = f"rain {next(self.world.numbers)}"
        body = {
            "tool_responses": [rain(call_id, content) for call_id in reversed(turn.pending)],
            "stream": stream or script == "stall",
        }
        self._post(session, f"{session.conversation.path}/turn/{turn.turn_id}/resume", body, script, turn)
        self._check(session)

    @precondition(lambda self: any(session.turns for session in self.sessions))
    @rule(
        which=st.integers(0, 1),
        back=st.sampled_from([0, 0, 1]),
        ids=st.sampled_from(["missing", "unknown", "doubled"]),
        stream=st.booleans(),
    )
    def resume_in_vain(self, which: int, back: int, ids: str, stream: bool) -> None:
        """With wrong ids, or a turn that does not wait: nothing happens."""
        session = self._session(which)
        if back >= len(session.turns):
            return
        turn = session.turns[-1 - back]
        right = [rain(call_id) for call_id in turn.pending or ("call_0",)]
        answers = {"missing": right[1:], "unknown": [*right, rain("call_9")], "doubled": [*right, right[0]]}
        refused = session.conversation.resume(turn.turn_id, *answers[ids], stream=stream)
        check_error(refused, 400 if turn.status == "awaiting_input" else 409)
        self._check(session)

    @precondition(lambda self: any(session.open_turn for session in self.sessions))
    @rule(which=st.integers(0, 1), back=st.sampled_from([0, 0, 1]))
    def cancel(self, which: int, back: int) -> None:
        session = self._session(which)
        if back < len(session.turns):
            turn = session.turns[-1 - back]
            assert session.conversation.cancel(turn.turn_id).status_code == 200
            if turn.status in OPEN:
                turn.status, turn.pending = "cancelled", ()
            self._check(session)

    @precondition(lambda self: any(session.last_post for session in self.sessions))
    @rule(which=st.integers(0, 1))
    def repeat(self, which: int) -> None:
        """The last POST that did something, sent again: it joins, whatever became of the turn since."""
        session = self._session(which)
        if session.last_post is None:
            return
        path, body, turn = session.last_post
        if turn.status == "running":
            with self.world.client.stream("POST", path, json=body, headers=RETRY) as answer:
                assert next(answer.iter_lines()).startswith("id: ")
        else:
            answer = self.world.client.post(path, json=body, headers=RETRY)
            assert answer.status_code in (200, 502), answer.text
            if answer.status_code == 200 and body["stream"]:
                turn.see(parse(answer.content))
        self._check(session)

    @precondition(lambda self: any(session.turns for session in self.sessions))
    @rule(which=st.integers(0, 1), back=st.integers(0, 2), place=st.integers(0, 20))
    def read_on(self, which: int, back: int, place: int) -> None:
        session = self._session(which)
        if back < len(session.turns) and session.turns[-1 - back].status != "running":
            turn_id = session.turns[-1 - back].turn_id
            frames = parse(session.conversation.replay(turn_id).content)
            place %= len(frames)
            rest = session.conversation.replay(turn_id, {"last-event-id": frames[place].id})
            assert parse(rest.content) == frames[place + 1 :]

    @precondition(lambda self: any(len(session.turns) > 2 for session in self.sessions))
    @rule()
    def delete_session(self) -> None:
        session = max(self.sessions, key=lambda session: len(session.turns))
        assert self.world.client.delete(session.conversation.path).status_code == 200
        self.sessions.remove(session)
        check_error(self.world.client.get(session.conversation.path), 404)
        assert self.world.log.session(session.conversation.session_id).deleted
        for turn in session.turns:
            check_error(session.conversation.get(turn.turn_id), 404)
            check_error(session.conversation.resume(turn.turn_id, rain()), 404)
        if not self.sessions:
            self.create_session()

    @precondition(lambda self: self.crashes < 1 and sum(len(session.turns) for session in self.sessions) > 2)
    @rule()
    def crash(self) -> None:
        """A running turn continues after the start, with the model as it is: it answers."""
        self.crashes += 1
        self.world.crash()
        for session in self.sessions:
            session.conversation = self.world.find(session.conversation)
            for turn in session.turns:
                if turn.status == "running":
                    wait_until(_ended(session.conversation, turn.turn_id))
                    turn.status = "completed"
            self._check(session)

    def teardown(self) -> None:
        """Every session can continue, if necessary after cancelling what runs."""
        for session in self.sessions:
            if session.open_turn is not None and session.open_turn.status == "running":
                self.cancel(self.sessions.index(session), 0)
            self.turn(self.sessions.index(session), "text", False, False)
            for turn in session.turns:
                self._check_turn(session, turn)

    def _waiting(self) -> list[tuple[KnownSession, KnownTurn]]:
        """The turns that await input, with their sessions."""
        found = [(session, session.open_turn) for session in self.sessions]
        return [(session, turn) for session, turn in found if turn is not None and turn.pending]

    def _session(self, which: int) -> KnownSession:
        return self.sessions[which % len(self.sessions)]

    def _post(
        self, session: KnownSession, path: str, body: dict[str, Any], script: str, turn: KnownTurn | None
    ) -> KnownTurn:
        """Makes a request that starts an inference; returns its turn, a new one if none is given."""
        self.world.scripted.queue(SCRIPTS[script])
        if script == "stall":
            frames = _until_progress(self.world.client, path, body)
        else:
            answer = self.world.client.post(path, json=body)
            assert answer.status_code in ((200, 502) if script in FAILING else (200,)), answer.text
            frames = parse(answer.content) if body["stream"] and answer.status_code == 200 else []
            if not frames:
                value = answer.json()
                turn_id = value.get("turn_id") or value["instance"].rpartition("/")[2]
                turn = turn or KnownTurn(turn_id)
        turn = turn or KnownTurn(frames[0].payload["turn_id"])
        turn.see(frames)
        turn.infers(script)
        session.last_post = (path, body, turn)
        return turn

    def _check(self, session: KnownSession) -> None:
        """The session's view against the log and against what is known; its last two turns from all sides."""
        conversation, log = session.conversation, self.world.log
        note(f"{[(turn.status, log.names(turn.turn_id)[-1]) for turn in session.turns]}")
        shown = conversation.show()["turns"]
        ids = [turn.turn_id for turn in session.turns]
        assert [turn["turn_id"] for turn in shown] == ids
        assert sum("completed_at" not in turn for turn in shown) <= 1, "at most one open turn"
        folded = log.session(conversation.session_id)
        assert list(folded.turns) == ids
        assert folded.open_turn == (session.open_turn.turn_id if session.open_turn else "")
        for number, turn in enumerate(session.turns):
            whole, outcome = log.turn(turn.turn_id)
            assert shown[number] == whole
            assert outcome["status"] == turn.status, (turn.turn_id, outcome)
        for turn in session.turns[-2:]:
            self._check_turn(session, turn)

    def _check_turn(self, session: KnownSession, turn: KnownTurn) -> None:
        conversation = session.conversation
        whole, outcome = self.world.log.turn(turn.turn_id)
        shown = conversation.get(turn.turn_id)
        assert shown.json() == whole and shown.headers["x-turn-status"] == turn.status
        assert conversation.outcome(turn.turn_id) == outcome
        if turn.status == "running":
            return
        replayed = conversation.replay(turn.turn_id).content
        assert replayed.startswith(turn.last_replay), "what was replayed once is replayed alike"
        turn.last_replay = replayed
        frames = parse(replayed)
        positions = [tuple(map(int, frame.id.split("."))) for frame in frames]
        assert positions == sorted(set(positions))
        told = {frame.id: frame.data for frame in frames}
        assert turn.seen.items() <= told.items(), "what was acknowledged is there"
        turn.see(frames)
        if turn.status == "failed":
            assert frames[-1].value["error"].items() >= outcome["error"].items()
        else:
            last = "turn_awaiting_input" if turn.status == "awaiting_input" else "turn_complete"
            assert frames[-1].kind == last and frames[-1].payload["turn"] == whole


def _until_progress(client: httpx.Client, path: str, body: dict[str, Any]) -> list[Frame]:
    """Leaves a stream once two chunks have come: the turn runs on alone."""
    raw = b""
    with client.stream("POST", path, json=body) as answer:
        assert answer.status_code == 200
        for piece in answer.iter_raw():
            raw += piece
            if raw.count(b'"step_progress"') == 2 and raw.endswith(b"\n\n"):
                break
    return parse(raw)


def _ended(conversation: Conversation, turn_id: str) -> Callable[[], bool]:
    return lambda: conversation.outcome(turn_id)["status"] != "running"


def test_histories_of_sessions(tmp_path: Path, scripted: RunningServer) -> None:
    limits = settings(
        max_examples=24 if CI else 60,
        stateful_step_count=25,
        derandomize=CI,
        database=None,
        phases=[Phase.generate] if CI else [Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    with Replaystack(tmp_path / "data", model_url=scripted.base_url) as server:
        world = World(server, scripted)

        class Histories(History):
            def __init__(self) -> None:
                super().__init__(world)

        run_state_machine_as_test(Histories, settings=limits)
        world.client.close()
        server.check_healthy()
