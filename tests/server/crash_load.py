"""The load of the crash test: clients that work until their server is killed, and what they were told by then."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Queue
from typing import Any

import httpx

from tests.server.api import Api, Conversation, Frame, parse, turn_body
from tests.server.process import Replaystack
from tests.servers.scripted_openai import State, serve

MODEL = "scripted/text;chunks=6;gap_ms=8"
ANSWER = "The answer comes in small pieces"


class Asked(deque[tuple[dict[str, str], bytes]]):
    """Counts the requests that the model server gets by the last message in them."""

    def __init__(self) -> None:
        super().__init__(maxlen=1)
        self.by_marker: Counter[str] = Counter()

    def append(self, request: tuple[dict[str, str], bytes]) -> None:
        super().append(request)
        self.by_marker[json.loads(request[1])["messages"][-1]["content"]] += 1


@contextmanager
def counting_model() -> Iterator[tuple[str, Asked]]:
    """The scripted model server in a thread: its base URL and what it is asked."""
    asked = Asked()
    urls: Queue[str] = Queue()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        state = State()
        state.bodies = asked
        server = await serve(0, state)
        urls.put(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
        await stop.wait()
        server.close()
        await asyncio.sleep(0.05)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        thread = threading.Thread(target=runner.run, args=(run(),))
        thread.start()
        try:
            yield urls.get(timeout=60), asked
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()


class Said:
    """One turn that was asked for, and what its client heard of it. `marker` is the user's message."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self.marker = f"marker {uuid.uuid4()}"
        self.raw = b""
        self.turn: dict[str, Any] | None = None
        self.asked_by_then = 0
        """How often the model had been asked for it at the kill that came after its step was complete."""

    @property
    def frames(self) -> list[Frame]:
        """The whole frames among what was received."""
        return parse(self.raw[: self.raw.rfind(b"\n\n") + 2]) if b"\n\n" in self.raw else []

    @property
    def step_is_complete(self) -> bool:
        """Whether its client knows so."""
        return self.turn is not None or any(frame.kind == "step_complete" for frame in self.frames)


class Told:
    """All that the clients of one data folder were told, over all its kills."""

    def __init__(self) -> None:
        self.agents: dict[str, str] = {}
        self.sessions: dict[str, str] = {}
        self.gone: set[str] = set()
        self.perhaps_gone: set[str] = set()
        self.said: list[Said] = []
        self.surprises: list[str] = []


class Load:
    """Clients of one data folder. Each client has a session of its own and works in its own thread, from `begin`
    to the moment when the server is gone; what it could not finish it repeats at the next `begin`, if it is one
    of those that repeat."""

    def __init__(self, seed: int) -> None:
        self.told = Told()
        self._random = random.Random(seed)
        self._threads: list[threading.Thread] = []
        self._unfinished: dict[str, tuple[dict[str, str], Said, bool]] = {}
        self.agent_id = ""
        self._sessions: dict[str, str] = {}

    def prepare(self, server: Replaystack) -> None:
        with server.http() as http:
            api = Api(http)
            self.agent_id = api.create_agent(MODEL, name="of all")
            self.told.agents[self.agent_id] = "of all"
            for client in ("streamed", "streamed too", "whole", "keyed", "retried"):
                self._sessions[client] = api.create_session(self.agent_id, client)
                self.told.sessions[self._sessions[client]] = client

    def begin(self, server: Replaystack) -> None:
        work: dict[str, Callable[[Api], None]] = {
            "streamed": lambda api: self._turn(api, "streamed", stream=True),
            "streamed too": lambda api: self._turn(api, "streamed too", stream=True),
            "whole": lambda api: self._turn(api, "whole", stream=False),
            "keyed": self._keyed_turn,
            "retried": self._retried_turn,
            "creator": self._create_and_delete,
        }
        self._threads = [
            threading.Thread(target=self._until_it_is_gone, args=(server.url, one)) for one in work.values()
        ]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Returns when all clients have noticed that the server is gone."""
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive(), "a client still waits for a server that was killed"

    def _until_it_is_gone(self, url: str, work: Callable[[Api], None]) -> None:
        with httpx.Client(base_url=url, trust_env=False, verify=False, timeout=20) as http:
            try:
                while True:
                    work(Api(http))
            except httpx.TransportError:
                return
            except Exception as surprise:
                self.told.surprises.append(repr(surprise))

    def _turn(self, api: Api, client: str, *, stream: bool) -> None:
        said = Said(self._sessions[client])
        self.told.said.append(said)
        self._post(api, said, {}, stream)

    def _keyed_turn(self, api: Api) -> None:
        """With an Idempotency-Key; begins with what was not answered before the last kill."""
        headers, said, stream = self._unfinished.get("keyed") or self._new(
            "keyed", {"idempotency-key": str(uuid.uuid4())}
        )
        self._post(api, said, headers, stream)
        del self._unfinished["keyed"]

    def _retried_turn(self, api: Api) -> None:
        """As the Python clients retry: the first try without a count, what was not answered with one."""
        before = self._unfinished.get("retried")
        headers, said, stream = before or self._new("retried", {})
        self._post(api, said, {"x-stainless-retry-count": "1"} if before else headers, stream)
        del self._unfinished["retried"]

    def _new(self, client: str, headers: dict[str, str]) -> tuple[dict[str, str], Said, bool]:
        said = Said(self._sessions[client])
        self.told.said.append(said)
        self._unfinished[client] = headers, said, self._random.random() < 0.5
        return self._unfinished[client]

    def _post(self, api: Api, said: Said, headers: dict[str, str], stream: bool) -> None:
        path = Conversation(api, self.agent_id, said.session_id).path
        body = turn_body(said.marker, stream=stream)
        said.raw = b""
        with api.http.stream("POST", f"{path}/turn", json=body, headers=headers) as answer:
            if answer.status_code != 200:
                raise AssertionError(f"{answer.status_code} {answer.read()!r} for {said.marker}")
            if not stream:
                said.turn = json.loads(answer.read())
                return
            for piece in answer.iter_raw():
                said.raw += piece
        if parse(said.raw)[-1].kind != "turn_complete":
            raise AssertionError(f"a stream ended without its turn: {said.raw[-500:]!r}")

    def _create_and_delete(self, api: Api) -> None:
        name = f"agent {uuid.uuid4()}"
        agent_id = api.create_agent(MODEL, name=name)
        self.told.agents[agent_id] = name
        session_id = api.create_session(agent_id, name)
        if self._random.random() < 0.4:
            self.told.perhaps_gone.add(agent_id)
            assert api.http.delete(f"/v1alpha/agents/{agent_id}").status_code == 200
            self.told.gone.add(agent_id)
        else:
            listed = api.http.get(f"/v1alpha/agents/{agent_id}/sessions").json()["data"]
            assert [session["session_id"] for session in listed] == [session_id]
