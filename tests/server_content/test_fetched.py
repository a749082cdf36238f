"""Content behind `https:` URLs: fetched once, recorded, and shown to the model ever after.

In this process, because a server that is started as users start it fetches nothing from loopback.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.api.agent import AgentConfig
from schemas.api.content import InputMessage
from schemas.api.turn import CreateAgentTurnRequest, Document, ResumeAgentTurnRequest, ToolResponse
from stack.data_folder import DataFolder
from stack.errors import Invalid, UpstreamFailed
from stack.providers.inference.settings import InferenceSettings
from stack.services.requests.caller import Caller
from stack.services.turns.running_turn import RunningTurn
from stack.settings import Settings
from stack.wiring import Server
from tests.servers.processes import RunningServer
from tests.servers.scripted_https import HttpsServer, running_https
from tests.services.pictures import data_url, png
from tests.services.turn_states import document, image_at, said, text

pytestmark = pytest.mark.anyio

CALLER = Caller()


@pytest.fixture
async def https() -> AsyncIterator[HttpsServer]:
    async with running_https() as server:
        server.files = {
            "a.png": ("image/png", png(bytes_at_least=300 << 10)),
            "b.txt": ("text/plain", b"From afar"),
        }
        yield server


class Session:
    """One session of a server in this process."""

    def __init__(self, server: Server, agent_id: str, session_id: str) -> None:
        self.server = server
        self.agent_id = agent_id
        self.session_id = session_id

    async def turn(
        self, messages: list[InputMessage], documents: list[Document] | None = None
    ) -> RunningTurn:
        posted = msgspec.to_builtins({"messages": messages, "documents": documents})
        request = msgspec.convert(posted, CreateAgentTurnRequest)
        turn = await self.server.turns.create(self.agent_id, self.session_id, request, CALLER, "")
        await turn.ended()
        return turn


@asynccontextmanager
async def serving(folder: Path, scripted: RunningServer, https: HttpsServer) -> AsyncIterator[Server]:
    provider = InferenceSettings(id="scripted", base_url=scripted.base_url, flavour="generic")
    settings = Settings(data=folder, inference=[provider], discover_models=False)
    data = DataFolder(folder)
    server = Server(settings, data, https.fetcher())
    try:
        await server.start()
        yield server
    finally:
        await server.stop()
        data.close()


async def opened(server: Server, model: str = "scripted/text;chunks=3", **config: Any) -> Session:
    agent_id = await server.agents.create(
        msgspec.convert({"model": model, "instructions": "", **config}, AgentConfig), CALLER, ""
    )
    return Session(server, agent_id, await server.sessions.create(agent_id, "s", CALLER, ""))


def shown(data: bytes) -> Mapping[str, Any]:
    return {"type": "image_url", "image_url": {"url": data_url(data)}}


@pytest.mark.slow
async def test_what_was_fetched_is_shown_for_ever_and_asked_for_once(
    tmp_path: Path, scripted: RunningServer, https: HttpsServer
) -> None:
    a, b = (f"{https.base}/file?name={name}" for name in https.files)
    picture = https.files["a.png"][1]
    async with serving(tmp_path / "data", scripted, https) as server:
        session = await opened(server)
        turn = await session.turn(said([text("Look"), image_at(a), image_at(a)]), [document({"uri": b})])
        assert turn.state.status == "completed"
        [first] = scripted.requests()[-1]["body"]["messages"]
        assert first["content"] == [
            {
                "type": "text",
                "text": '<document index="1" type="text/plain">\nFrom afar\n</document>\n\nLook',
            },
            shown(picture),
            shown(picture),
        ]
        assert https.base not in msgspec.json.encode(scripted.requests()).decode()
        posted = said([text("Look"), image_at(a), image_at(a)])
        assert msgspec.to_builtins(turn.wire().input_messages) == msgspec.to_builtins(posted)
        assert https.connections == 2
        https.files.clear()
        await session.turn(said("And?"))
        assert scripted.requests()[-1]["body"]["messages"][0] == first
    async with serving(tmp_path / "data", scripted, https) as server:
        again = Session(server, session.agent_id, session.session_id)
        await again.turn(said("Once more?"))
        assert scripted.requests()[-1]["body"]["messages"][0] == first
        assert https.connections == 2
        await server.sessions.delete(session.agent_id, session.session_id, CALLER)
        assert not [path for path in (tmp_path / "data" / "blobs").rglob("*") if path.is_file()]


async def test_what_cannot_be_fetched_opens_no_turn(
    tmp_path: Path, scripted: RunningServer, https: HttpsServer
) -> None:
    async with serving(tmp_path / "data", scripted, https) as server:
        session = await opened(server)
        for path, error in (
            ("/redirect?to=https://10.0.0.1/", Invalid),
            ("/file?name=b.txt", Invalid),
            ("/cut", UpstreamFailed),
        ):
            with pytest.raises(error, match=r"messages\[0\]\.content\[0\]\.image\.url"):
                await session.turn(said([image_at(https.base + path)]))
        state, _ = await server.states.session(session.agent_id, session.session_id)
        assert state.turns == ()
    assert scripted.counts()["requests"] == 0


async def test_images_behind_urls_of_tool_responses_are_recorded_with_the_resume(
    tmp_path: Path, scripted: RunningServer, https: HttpsServer
) -> None:
    url = f"{https.base}/file?name=a.png"
    picture = https.files["a.png"][1]
    tools = [{"name": "look", "input_schema": {"type": "object"}}]
    async with serving(tmp_path / "data", scripted, https) as server:
        session = await opened(server, client_tools=tools)
        scripted.queue("tools")
        turn = await session.turn(said("Look."))
        [call] = turn.wire().output_message.tool_calls or []
        request = ResumeAgentTurnRequest([ToolResponse(call.call_id, "look", [image_at(url)])])
        resumed, _ = await server.turns.resume(
            session.agent_id, session.session_id, turn.turn_id, request, CALLER, ""
        )
        await resumed.ended()
        assert resumed.state.status == "completed"
        assert scripted.requests()[-1]["body"]["messages"][-1]["content"][1] == shown(picture)
        https.files.clear()
        await session.turn(said("And?"))
        assert shown(picture) in scripted.requests()[-1]["body"]["messages"][3]["content"]
    assert https.connections == 1
