"""The tools for assistants, called by the official MCP client over both transports, from a server that needs a key."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult

from stack.services.assistant.bounds import MAX_BYTES
from tests.server.api import Api
from tests.server.process import COMMAND, ROOT, Replaystack, wait_until
from tests.server.sql_queries import ENDLESS, busy_worker
from tests.server.telemetry import Telemetry
from tests.servers.processes import RunningServer
from tests.telemetry.otlp_requests import PlainSpan

pytestmark = pytest.mark.slow

T = TypeVar("T")
KEY = "ada-secret"
NAMES = ["describe_schema", "sql", "get_session", "get_trace", "replay_check"]
TRANSPORTS = ["http", "stdio"]


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory, scripted_server: RunningServer) -> Iterator[Replaystack]:
    data = tmp_path_factory.mktemp("mcp") / "data"
    environment = {"REPLAYSTACK_API_KEYS": f"ada:{KEY}"}
    with Replaystack(data, model_url=scripted_server.base_url, environment=environment) as server:
        yield server
        server.check_healthy()
    assert server.wait() == 0
    assert '"level":"error"' not in server.log, server.log


@pytest.fixture(scope="module")
def http(keyed: Replaystack) -> Iterator[httpx.Client]:
    with keyed.http(headers={"authorization": f"Bearer {KEY}"}) as client:
        yield client


@asynccontextmanager
async def connected(server: Replaystack, transport: str, mode: Any = "auto") -> AsyncIterator[Client]:
    if transport == "stdio":
        arguments = ["-c", COMMAND, "mcp", "--data", str(server.data)]
        where: Any = StdioServerParameters(
            command=sys.executable, args=arguments, env={"PYTHONPATH": str(ROOT)}
        )
        async with Client(where, mode=mode) as client:
            yield client
        return
    headers = {"authorization": f"Bearer {KEY}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60, trust_env=False) as sender,
        Client(streamable_http_client(f"{server.url}/mcp", http_client=sender), mode=mode) as client,
    ):
        yield client


def used(server: Replaystack, transport: str, use: Callable[[Client], Awaitable[T]], mode: str = "auto") -> T:
    async def run() -> T:
        async with connected(server, transport, mode) as client:
            return await use(client)

    return asyncio.run(run())


def content_of(result: CallToolResult) -> dict[str, Any]:
    assert not result.is_error, result.content
    found: dict[str, Any] = result.structured_content
    return found


def refusal_of(result: CallToolResult) -> str:
    assert result.is_error
    [part] = result.content
    assert part.type == "text"
    return part.text


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_every_tool_answers(
    keyed: Replaystack, http: httpx.Client, scripted: RunningServer, transport: str, mode: str
) -> None:
    """The client checks the structured content of each answer against the schema of the tool."""
    conversation = Api(http).conversation()
    turn = conversation.turn()
    session_id = conversation.session_id
    query = "SELECT turn_id, trace_id FROM turns WHERE session_id = $1"

    async def use(client: Client) -> None:
        listed = (await client.list_tools()).tools
        assert [tool.name for tool in listed] == NAMES
        for tool in listed:
            assert tool.annotations is not None and tool.annotations.read_only_hint
            assert tool.output_schema is not None and tool.output_schema["type"] == "object"
        asked = {"query": query, "parameters": [session_id]}
        found = await client.call_tool("sql", asked)
        [[turn_id, trace_id]] = content_of(found)["rows"]
        assert turn_id == turn["turn_id"]
        assert json.loads(found.content[0].text) == found.structured_content  # type: ignore[union-attr]
        session = content_of(await client.call_tool("get_session", {"session_id": session_id}))
        assert [one["turn_id"] for one in session["turns"]] == [turn_id]
        assert session["agent_id"] == conversation.agent_id and session["next_start_index"] is None
        trace = content_of(await client.call_tool("get_trace", {"trace_id": trace_id.upper()}))
        assert trace["is_complete"] and {span["trace_id"] for span in trace["spans"]} == {trace_id}
        check = content_of(await client.call_tool("replay_check", {"session_id": session_id}))
        assert check["verdict"] == "identical"
        schema = await client.call_tool("describe_schema", {"views": ["turns"]})
        [view] = content_of(schema)["views"]
        assert view["name"] == "turns"
        assert "DuckDB" in schema.content[0].text  # type: ignore[union-attr]

    used(keyed, transport, use, mode)


WRONG = {
    ("sql", '{"query": "SELECT sum_(1)"}'): "Did you mean",
    ("sql", '{"query": "DELETE FROM turns"}'): "SELECT",
    ("sql", '{"query": "SELECT 1", "limit": 1001}'): "$.limit",
    ("sql", '{"query": "SELECT 1", "parameters": 3}'): "$.parameters",
    ("sql", '{"sql": "SELECT 1"}'): "unknown field `sql`",
    ("sql", "{}"): "missing required field `query`",
    ("describe_schema", '{"views": ["turn"]}'): "Did you mean 'turns'?",
    ("get_session", '{"session_id": "no-such"}'): "There is no session 'no-such'.",
    ("get_session", '{"session_id": "../../admin/state"}'): "$.session_id",
    ("get_session", '{"session_id": "?a=1&b#c %2F\\u0000"}'): "There is no session",
    ("sql", f'{{"query": "SELECT 1", "parameters": {"[" * 90 + "]" * 90}}}'): "parameters",
    ("get_trace", '{"trace_id": "00000000000000000000000000000000"}'): "There is no trace",
    ("get_trace", '{"trace_id": "xyz"}'): "$.trace_id",
    ("replay_check", '{"session_id": "no-such"}'): "There is no session 'no-such'.",
    ("drop", "{}"): "There is no tool 'drop'.",
}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_is_wrong_is_told(keyed: Replaystack, transport: str) -> None:
    async def use(client: Client) -> None:
        for (name, arguments), told in WRONG.items():
            assert told in refusal_of(await client.call_tool(name, json.loads(arguments)))

    used(keyed, transport, use)


def test_large_answers_are_bounded(keyed: Replaystack, http: httpx.Client, scripted: RunningServer) -> None:
    span = PlainSpan(trace=7, span=8, attributes={"prompt": "x" * 100_000})
    Telemetry(http).send([span])
    conversation = Api(http).conversation()
    for _ in range(3):
        conversation.turn()

    async def use(client: Client) -> None:
        async def sql(query: str, **more: Any) -> dict[str, Any]:
            return content_of(await client.call_tool("sql", {"query": query, **more}))

        by_default = await sql("FROM range(101)")
        assert (by_default["row_count"], by_default["truncated"]) == (100, "rows")
        assert (await sql("FROM range(100)"))["truncated"] is None
        assert (await sql("FROM range(1001)", limit=1000))["row_count"] == 1000
        long = await sql("SELECT repeat('x', 5000) AS text FROM range(50)")
        assert long["truncated"] == "bytes" and long["shortened_texts"] == long["row_count"]
        assert "[1000 more characters]" in long["rows"][0][0]
        wide = await sql(f"SELECT {', '.join(['repeat($1, 3000)'] * 90)}", parameters=["x"])
        assert (wide["row_count"], wide["shortened_texts"]) == (1, 90)
        names = [f"1 AS column_{number}_{'x' * 200}" for number in range(300)]
        many = await client.call_tool("sql", {"query": f"SELECT {', '.join(names)}"})
        assert "300 columns" in refusal_of(many)
        assert (await sql("SELECT $1", parameters=[2**70]))["rows"] == [[str(2**70)]]
        past = await sql("SELECT count(*) FROM turns", as_of=0)
        assert past["rows"] == [[0]]
        assert "as_of" in refusal_of(
            await client.call_tool("sql", {"query": "SELECT 1", "as_of": "yesterday"})
        )
        assert "too large" in refusal_of(await client.call_tool("sql", {"query": "SELECT range(30000)"}))
        trace = content_of(await client.call_tool("get_trace", {"trace_id": span.trace_id}))
        assert trace["shortened_texts"] == 1 and len(json.dumps(trace)) < MAX_BYTES
        first = await client.call_tool("get_session", {"session_id": conversation.session_id, "limit": 2})
        assert content_of(first)["next_start_index"] == 2
        rest = {"session_id": conversation.session_id, "start_index": 2}
        assert len(content_of(await client.call_tool("get_session", rest))["turns"]) == 1

    used(keyed, "http", use)


def test_the_server_may_be_started_again(fresh_server: Callable[..., Replaystack]) -> None:
    """The command outlives the server, which is at another address afterwards."""
    server = fresh_server()
    server.stop()

    async def use(client: Client) -> None:
        async def answer() -> CallToolResult:
            return await client.call_tool("sql", {"query": "SELECT 1"})

        assert "replaystack serve" in refusal_of(await answer())
        await asyncio.to_thread(server.start)
        assert content_of(await answer())["rows"] == [[1]]
        await asyncio.to_thread(server.restart)
        assert content_of(await answer())["rows"] == [[1]]

    used(server, "stdio", use)


LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
ACCEPT = {"accept": "application/json, text/event-stream"}


def test_callers_are_checked_as_everywhere(keyed: Replaystack, http: httpx.Client) -> None:
    with keyed.http() as nobody:
        refused = nobody.post("/mcp", json=LIST, headers=ACCEPT)
        assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
    for header in ({"host": "evil.example"}, {"origin": "https://evil.example"}):
        assert http.post("/mcp", json=LIST, headers=ACCEPT | header).status_code == 403
    assert http.post("/mcp", json=LIST, headers=ACCEPT).json()["result"]["tools"]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 400),
        (b"\xff", 400),
        (b"[" * 100_000, 400),
        (b'{"jsonrpc": "2.0", "id": 1}', 400),
        (b" " * (2**20 + 1), 413),
    ],
)
def test_bodies_that_are_no_messages(http: httpx.Client, content: bytes, status: int) -> None:
    headers = ACCEPT | {"content-type": "application/json"}
    assert http.post("/mcp", content=content, headers=headers).status_code == status
    assert http.post("/mcp", json=LIST, headers=ACCEPT).status_code == 200


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("get_session", r'{"session_id": "\ud800"}', "surrogate"),
        ("sql", r'{"query": "SELECT \u0027\ud800\u0027"}', "JSON"),
        ("sql", r'{"query": "SELECT $1", "parameters": [NaN]}', "JSON"),
        ("sql", r'{"query": "SELECT $1", "parameters": ["\u0000"]}', "null character"),
    ],
)
def test_values_that_clients_should_not_send(
    http: httpx.Client, name: str, arguments: str, told: str
) -> None:
    version = "2026-07-28"
    meta = {
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = f'{{"name": "{name}", "arguments": {arguments}, "_meta": {json.dumps(meta)}}}'
    content = f'{{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {params}}}'
    headers = {"mcp-protocol-version": version, "mcp-method": "tools/call", "mcp-name": name}
    headers |= ACCEPT | {"content-type": "application/json"}
    answer = http.post("/mcp", content=content, headers=headers)
    assert answer.status_code == 200, answer.text
    assert told in refusal_of(CallToolResult.model_validate(answer.json()["result"]))


def test_there_are_no_streams_and_sessions(http: httpx.Client) -> None:
    for method in ("GET", "DELETE"):
        assert http.request(method, "/mcp", headers=ACCEPT).status_code == 405
    assert "mcp-session-id" not in http.post("/mcp", json=LIST, headers=ACCEPT).headers


def test_a_query_ends_with_its_client(keyed: Replaystack) -> None:
    body = LIST | {"method": "tools/call", "params": {"name": "sql", "arguments": {"query": ENDLESS}}}
    content = json.dumps(body).encode()
    headers = ACCEPT | {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    lines = [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join(
        ["POST /mcp HTTP/1.1", "host: localhost", *lines, f"content-length: {len(content)}", "", ""]
    )
    address = urlsplit(keyed.url)
    with socket.create_connection((address.hostname, address.port)) as leaving:
        leaving.sendall(head.encode() + content)
        busy = busy_worker(keyed)
    wait_until(lambda: not busy.is_running())


def test_reading_is_not_recorded(keyed: Replaystack, http: httpx.Client) -> None:
    async def use(client: Client) -> int:
        await client.call_tool("describe_schema", {})
        query = "SELECT count(*) FROM spans WHERE name LIKE '%mcp%' OR name LIKE '%/sql%'"
        return int(content_of(await client.call_tool("sql", {"query": query}))["rows"][0][0])

    assert used(keyed, "http", use) == 0
