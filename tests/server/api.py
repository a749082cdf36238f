"""The agents API as its callers use it, and a strict reader of its streams."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx

TEXT = "scripted/text;chunks=3"
ANSWER = "The answer comes"
"""The scripted model's answer, in three chunks."""
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ERROR_FIELDS = {"status", "title", "detail", "instance"}


class Frame(NamedTuple):
    """One frame of a stream: its id, its data as sent, and that decoded."""

    id: str
    data: str
    value: dict[str, Any]

    @property
    def payload(self) -> dict[str, Any]:
        payload: dict[str, Any] = self.value["event"]["payload"]
        return payload

    @property
    def kind(self) -> str:
        """The payload's event type, or `error`."""
        return "error" if "error" in self.value else str(self.payload["event_type"])


class Api:
    """Calls on one server. Ids come back as text; what may fail comes back as the response."""

    def __init__(self, http: httpx.Client, prefix: str = "/v1alpha") -> None:
        self.http = http
        self.prefix = prefix

    def create_agent(self, model: str = TEXT, instructions: str = "", **config: Any) -> str:
        body = {"agent_config": {"model": model, "instructions": instructions, **config}}
        answer = self.http.post(f"{self.prefix}/agents", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["agent_id"])

    def create_session(self, agent_id: str, name: str = "a session") -> str:
        answer = self.http.post(f"{self.prefix}/agents/{agent_id}/session", json={"session_name": name})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["session_id"])

    def conversation(self, model: str = TEXT, **config: Any) -> Conversation:
        """A new session of a new agent."""
        agent_id = self.create_agent(model, **config)
        return Conversation(self, agent_id, self.create_session(agent_id))

    def agents(self, **query: Any) -> httpx.Response:
        return self.http.get(f"{self.prefix}/agents", params=query)


class Conversation:
    """One session of one agent."""

    def __init__(self, api: Api, agent_id: str, session_id: str) -> None:
        self.api = api
        self.http = api.http
        self.agent_id = agent_id
        self.session_id = session_id
        self.path = f"{api.prefix}/agents/{agent_id}/session/{session_id}"

    def post(
        self, text: str | list[Any] = "Hello", headers: dict[str, str] | None = None, **body: Any
    ) -> httpx.Response:
        """Posts a turn and reads the answer to its end. `text`: what the user says, or whole messages."""
        return self.http.post(f"{self.path}/turn", json=turn_body(text, **body), headers=headers)

    def turn(self, text: str | list[Any] = "Hello", **body: Any) -> dict[str, Any]:
        answer = self.post(text, **body)
        assert answer.status_code == 200, answer.text
        turn: dict[str, Any] = answer.json()
        return turn

    @contextmanager
    def streaming(self, text: str | list[Any] = "Hello", **body: Any) -> Iterator[Stream]:
        """A turn whose answer is read as it comes."""
        with self.http.stream(
            "POST", f"{self.path}/turn", json=turn_body(text, stream=True, **body)
        ) as answer:
            yield Stream(answer)

    @contextmanager
    def following(
        self, turn_id: str, headers: dict[str, str] | None = None, query: str = ""
    ) -> Iterator[Stream]:
        """The stream of a turn that was begun by another request."""
        path = f"{self.path}/turn/{turn_id}/stream{query}"
        with self.http.stream("GET", path, headers=headers) as answer:
            yield Stream(answer)

    def streamed(self, text: str | list[Any] = "Hello", **body: Any) -> bytes:
        """The whole stream of a turn, as bytes."""
        answer = self.post(text, stream=True, **body)
        assert answer.status_code == 200, answer.text
        return answer.content

    def replay(self, turn_id: str, headers: dict[str, str] | None = None, query: str = "") -> httpx.Response:
        return self.http.get(f"{self.path}/turn/{turn_id}/stream{query}", headers=headers)

    def show(self) -> dict[str, Any]:
        session: dict[str, Any] = self.http.get(self.path).raise_for_status().json()
        return session

    def get(self, turn_id: str, suffix: str = "") -> httpx.Response:
        return self.http.get(f"{self.path}/turn/{turn_id}{suffix}")

    def outcome(self, turn_id: str) -> dict[str, Any]:
        outcome: dict[str, Any] = self.get(turn_id, "/outcome").raise_for_status().json()
        return outcome

    def cancel(self, turn_id: str) -> httpx.Response:
        return self.http.post(f"{self.path}/turn/{turn_id}/cancel")

    def resume(
        self, turn_id: str, *responses: dict[str, Any], headers: dict[str, str] | None = None, **body: Any
    ) -> httpx.Response:
        """Answers the calls that a turn awaits, and reads the answer to its end."""
        path = f"{self.path}/turn/{turn_id}/resume"
        return self.http.post(path, json={"tool_responses": list(responses), **body}, headers=headers)

    def only_turn_id(self) -> str:
        """The id of the session's one turn."""
        [turn] = self.show()["turns"]
        return str(turn["turn_id"])


class Stream:
    """A streamed answer while it comes in."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.raw = b""
        self._pieces = answer.iter_raw()
        self._frames = self._come_in()

    @property
    def status_code(self) -> int:
        return self.answer.status_code

    def __iter__(self) -> Iterator[Frame]:
        """Frames as soon as they are there, to the end of the stream; each is given out once."""
        return self._frames

    def _come_in(self) -> Iterator[Frame]:
        given = 0
        for piece in self._pieces:
            self.raw += piece
            found = parse(self.raw[: self.raw.rfind(b"\n\n") + 2]) if b"\n\n" in self.raw else []
            yield from found[given:]
            given = len(found)

    def read_on(self) -> None:
        """Reads what comes next, frames or not; frames that are only in `raw` then are still given out."""
        self.raw += next(self._pieces)

    def until(self, kind: str) -> Frame:
        """Reads up to the first frame of this kind."""
        for frame in self:
            if frame.kind == kind:
                return frame
        raise AssertionError(f"the stream ended without {kind}: {self.raw!r}")

    def rest(self) -> bytes:
        """All bytes, once the stream has ended."""
        for piece in self._pieces:
            self.raw += piece
        return self.raw


def turn_body(text: str | list[Any], **body: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}] if isinstance(text, str) else text
    return {"messages": messages, **body}


def parse(raw: bytes) -> list[Frame]:
    """The frames of a stream. Fails on any line that the contract does not allow: a frame is one `id:` line, one
    `data:` line and a blank line, and between frames there are only `: ` lines, with no blank line."""
    assert b"\r" not in raw
    text = raw.decode()
    assert not text or text.endswith("\n")
    frames: list[Frame] = []
    lines = iter(text.split("\n")[:-1])
    for line in lines:
        if line == ": ":
            continue
        assert line.startswith("id: "), line
        data, blank = next(lines), next(lines)
        assert data.startswith("data: "), data
        assert blank == "", blank
        frames.append(Frame(line[4:], data[6:], json.loads(data[6:])))
    return frames


def kinds(frames: Iterable[Frame]) -> list[str]:
    """Returns the kinds of frames in order, without repetitions: `step_progress` represents all of a step."""
    found: list[str] = []
    for frame in frames:
        if not found or found[-1] != frame.kind:
            found.append(frame.kind)
    return found


def text_of(frames: Iterable[Frame]) -> str:
    """The streamed text."""
    deltas = [frame.payload["delta"] for frame in frames if frame.kind == "step_progress"]
    return "".join(delta["text"] for delta in deltas if delta["type"] == "text")


def check_error(answer: httpx.Response, status: int, *mentions: str) -> dict[str, Any]:
    """Fails unless the answer is the contract's error with this status, whose detail has all of `mentions`."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
    assert answer.headers["content-type"] == "application/json"
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-trace-id"])
    body: dict[str, Any] = answer.json()
    assert set(body) <= ERROR_FIELDS and {"status", "title", "detail"} <= set(body), body
    assert body["status"] == status
    assert body["title"] and body["detail"]
    for mention in mentions:
        assert mention in body["detail"], body
    if status in (429, 503):
        assert 1 <= int(answer.headers["retry-after"]) <= 60
    if status in (409, 413, 500, 501):
        assert answer.headers["x-should-retry"] == "false"
    return body
