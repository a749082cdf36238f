"""Invalid requests: each is answered with its status and the contract's error, and has no other effect."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from tests.server.api import ANSWER, TEXT, Api, Conversation, check_error
from tests.server.process import Replaystack
from tests.server.raw_http import JSON, answers, ask, connection, request

AGENTS = "/v1alpha/agents"
LIMIT = 1 << 20
"""`max_body_bytes` of the shared server."""


@pytest.fixture(autouse=True)
def still_healthy(server: Replaystack) -> Iterator[None]:
    yield
    server.check_healthy()


def agent_with(**config: Any) -> bytes:
    return json.dumps({"agent_config": {"model": TEXT, "instructions": "", **config}}).encode()


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


@pytest.mark.parametrize(
    ("body", "mention"),
    [
        (b"", "no body"),
        (b" ", "JSON"),
        (b"{", "JSON"),
        (b"nope", "JSON"),
        (b"{'agent_config': 1}", "JSON"),
        (agent_with() + b" trailing", "JSON"),
        (b"\x00", "JSON"),
        (b"[]", "the body"),
        (b'"text"', "the body"),
        (b"null", "the body"),
        (b"17", "the body"),
        (b"{}", "agent_config"),
        (b'{"agent_config": null}', "agent_config"),
        (b'{"agent_config": []}', "agent_config"),
        (b'{"agent_config": {"model": 1, "instructions": ""}}', "agent_config.model"),
        (b'{"agent_config": {"model": "m"}}', "instructions"),
        (b'{"agent_config": {"model": "m", "instructions": null}}', "agent_config.instructions"),
        (b'{"agent_confg": {}}', "agent_config"),
        (b'{"agent_config": {"model": "\xff", "instructions": ""}}', ""),
        (b'{"\xff": 1}', ""),
        ('{"agent_config": {}}'.encode("utf-16"), ""),
        (b"\xef\xbb\xbf" + agent_with(), ""),
        (b'{"agent_config": {"model": "m", "instructions": "\\ud800"}}', ""),
        (b'{"agent_config": {"model": "m", "instructions": "\\udc00\\ud800"}}', ""),
        (b'{"\\ud800": 1}', ""),
        (b'{"agent_config": {"model": "m", "instructions": "\x01"}}', "JSON"),
        (agent_with(max_infer_iters=10**400), "max_infer_iters"),
        (agent_with(max_infer_iters=2**70), "max_infer_iters"),
        (agent_with(max_infer_iters=1.5), "max_infer_iters"),
        (agent_with(sampling_params={"max_tokens": -(10**30)}), "max_tokens"),
        (agent_with(sampling_params={"repetition_penalty": 1e308}), "repetition_penalty"),
        (b'{"agent_config": {"model": "m", "instructions": "", "max_infer_iters": 1e400}}', ""),
        (b'{"agent_config": {"model": "m", "instructions": "", "max_infer_iters": NaN}}', "JSON"),
        (b'{"agent_config": {"model": "m", "instructions": "", "max_infer_iters": -Infinity}}', "JSON"),
        (b"[" * 100_000, ""),
        (b'{"agent_config":' * 50_000, ""),
        (b'{"agent_config":{"client_tools":[{"name":"x","metadata":' + nested(50_000) + b"}]}}", ""),
    ],
)
def test_bodies_that_are_refused(server: Replaystack, body: bytes, mention: str) -> None:
    check_error(ask(server, request("POST", AGENTS, JSON, body)), 400, mention)


@pytest.mark.parametrize("depth", [50, 200, 480, 700, 950, 1100])
def test_deep_nesting_is_kept_or_refused(server: Replaystack, api: Api, depth: int) -> None:
    """Wherever free JSON is allowed. What is accepted has to come back."""
    body = (
        b'{"agent_config":{"model":"%s","instructions":"","client_tools":[{"name":"x","metadata":%s}]}}'
        % (TEXT.encode(), nested(depth))
    )
    answer = ask(server, request("POST", AGENTS, JSON, body))
    if answer.status_code != 200:
        check_error(answer, 400)
        assert depth > 200
        return
    shown = api.http.get(f"{AGENTS}/{answer.json()['agent_id']}")
    assert nested(depth) in shown.content
    assert api.agents(limit=1).status_code == 200


@pytest.mark.parametrize("depth", [100, 480, 950])
def test_deep_schemas_and_documents(server: Replaystack, api: Api, depth: int) -> None:
    schema = b'{"not":' * depth + b"true" + b"}" * depth
    body = b'{"agent_config":{"model":"%s","instructions":"","response_format":%s}}' % (
        TEXT.encode(),
        b'{"type":"json_schema","json_schema":' + schema + b"}",
    )
    assert ask(server, request("POST", AGENTS, JSON, body)).status_code in (200, 400)
    conversation = api.conversation()
    document = b'{"content":"x","mime_type":"text/plain","metadata":%s}' % nested(depth)
    body = b'{"messages":[{"role":"user","content":"x"}],"documents":[%s]}' % document
    answer = ask(server, request("POST", f"{conversation.path}/turn", JSON, body))
    assert answer.status_code in (200, 400), answer.text
    assert conversation.turn()["output_message"]["content"] == ANSWER


@pytest.mark.parametrize("said", ["a\0b", "\0", "\x7f\x01", "\ufffe\uffff", "e\u0301" * 100, "\u202e\u2066"])
def test_odd_characters_are_kept(api: Api, said: str) -> None:
    conversation = api.conversation("scripted/echo", instructions=said, name=said)
    turn = conversation.turn(said)
    assert turn["input_messages"] == [{"role": "user", "content": said}]
    assert json.loads(turn["output_message"]["content"])["messages"][0]["content"] == said
    assert conversation.get(turn["turn_id"]).json() == turn
    agent = api.http.get(f"{AGENTS}/{conversation.agent_id}").json()
    assert agent["agent_config"]["instructions"] == said
    session = api.create_session(conversation.agent_id, f"name {said}")
    shown = api.http.get(f"{AGENTS}/{conversation.agent_id}/session/{session}").json()
    assert shown["session_name"] == f"name {said}"


def test_half_a_surrogate_pair_anywhere(server: Replaystack, api: Api) -> None:
    conversation = api.conversation()
    for said in (b"\\ud800", b"x\\udfff", b"\\ud83d\\ud83d"):
        body = b'{"messages":[{"role":"user","content":"%s"}]}' % said
        check_error(ask(server, request("POST", f"{conversation.path}/turn", JSON, body)), 400)
    assert conversation.show()["turns"] == []


def test_a_body_at_the_limit_and_beyond(server: Replaystack) -> None:
    empty = len(agent_with(instructions=""))
    fits = agent_with(instructions="x" * (LIMIT - empty))
    assert ask(server, request("POST", AGENTS, JSON, fits)).status_code == 200
    check_error(ask(server, request("POST", AGENTS, JSON, fits + b" ")), 413, str(LIMIT))
    check_error(ask(server, request("POST", AGENTS, JSON + b"content-length: %d\r\n" % (LIMIT + 1))), 413)
    enormous = JSON + b"content-length: 99999999999999999\r\n"
    check_error(ask(server, request("POST", AGENTS, enormous)), 413)
    expecting = JSON + b"expect: 100-continue\r\ncontent-length: %d\r\n" % (LIMIT + 1)
    check_error(ask(server, request("POST", AGENTS, expecting)), 413)


def test_a_chunked_body(server: Replaystack) -> None:
    headers = JSON + b"transfer-encoding: chunked\r\n"

    def chunked(body: bytes, size: int) -> bytes:
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"

    small = request("POST", AGENTS, headers, chunked(agent_with(), 7))
    assert ask(server, small).status_code == 200
    large = request("POST", AGENTS, headers, chunked(agent_with(instructions="x" * LIMIT), 60_000))
    check_error(ask(server, large), 413)
    broken = request("POST", AGENTS, headers, b"zz\r\nnonsense\r\n")
    check_error(ask(server, broken), 400)


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /v1/health HTTP/1.1\r\nhost localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        request("POST", AGENTS, JSON + b"content-length: -1\r\n"),
        request("POST", AGENTS, JSON + b"content-length: abc\r\n"),
        request("POST", AGENTS, JSON + b"content-length: 2\r\ncontent-length: 3\r\n", b"{}"),
        request("POST", AGENTS, JSON + b"transfer-encoding: chunked\r\ncontent-length: 2\r\n", b"{}"),
        request("GET", "/v1/health", b"bad header: x\r\n"),
        request("GET", "/v1/health", b"x: a\x00b\r\n"),
    ],
)
def test_what_is_no_http(server: Replaystack, raw: bytes) -> None:
    check_error(ask(server, raw), 400)


def test_less_body_than_announced(server: Replaystack) -> None:
    """The client closes in the middle: no one is owed an answer, and nothing is created."""
    with connection(server) as opened:
        opened.sendall(request("POST", AGENTS, JSON + b"content-length: 500\r\n", agent_with()))
        opened.shutdown(socket.SHUT_WR)
        for answer in answers(opened):
            check_error(answer, 400)


def test_more_body_than_announced(server: Replaystack) -> None:
    """Bytes after the announced length are the next request, which is not a valid one."""
    body = agent_with()
    with connection(server) as opened:
        opened.sendall(
            request("POST", AGENTS, JSON + b"content-length: %d\r\n" % len(body), body + b"}}}}\r\n\r\n")
        )
        *_, last = answers(opened)
    check_error(last, 400)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 404),
        ("//", 404),
        ("/v1alpha", 404),
        ("/v1alpha/agent", 404),
        ("/v2/agents", 404),
        ("/V1ALPHA/AGENTS", 404),
        (f"{AGENTS}/%00", 404),
        (f"{AGENTS}/%ff%fe", 404),
        (f"{AGENTS}/%ZZ", 404),
        (f"{AGENTS}/%", 404),
        (f"{AGENTS}/..%2f..%2fetc%2fpasswd", 404),
        (f"{AGENTS}/../../etc/passwd", 404),
        (f"{AGENTS}/'%20OR%201=1%20--", 404),
        (f"{AGENTS}/%22%3B%20DROP%20TABLE%20agents", 404),
        (f"{AGENTS}/a%0d%0ax-injected:%20yes", 404),
        (f"{AGENTS}/{'x' * 30_000}", 404),
        (f"{AGENTS}/%F0%9F%8E%89", 404),
        (f"{AGENTS}/%ED%A0%80", 404),
        (f"{AGENTS}/x/session/%00", 404),
        (f"{AGENTS}/x/session/y/turn/%00/stream", 404),
        (f"{AGENTS}/x/session/y/turn/{'z' * 5_000}/step/%00", 404),
        (f"{AGENTS}?limit=%00", 400),
        (f"{AGENTS}?limit=99999999999999999999", 400),
        (f"{AGENTS}?limit=1e3", 400),
        (f"{AGENTS}?limit=%D9%A3", 400),
        (f"{AGENTS}?limit=-2", 400),
        (f"{AGENTS}?start_index=-1", 400),
        (f"{AGENTS}?start_index=abc", 400),
        (f"{AGENTS}?start_index=%ff", 400),
        (f"{AGENTS}?limit=1&unknown=%00%ff", 400),
        (f"{AGENTS}?" + "&".join(f"a{n}=b" for n in range(2_000)), 400),
    ],
)
def test_odd_paths_and_queries(server: Replaystack, path: str, status: int) -> None:
    answer = ask(server, request("GET", path))
    check_error(answer, status)
    assert "x-injected" not in answer.headers


@pytest.mark.parametrize(
    "path",
    [
        f"{AGENTS}?start_index=999999999999999999",
        f"{AGENTS}?limit=999999999999999999",
        f"{AGENTS}?limit=1#fragment",
    ],
)
def test_odd_queries_that_are_answered(server: Replaystack, path: str) -> None:
    assert ask(server, request("GET", path)).status_code == 200


def test_odd_turn_ids_in_the_query(conversation: Conversation) -> None:
    turn = conversation.turn()
    odd = ["\0", "' OR 1=1 --", "x" * 20_000, "%", "[1]", "", turn["turn_id"]]
    answer = conversation.http.get(conversation.path, params=[("turn_ids", one) for one in odd])
    assert answer.status_code == 200 and answer.json()["turns"] == [turn]
    many = {"turn_ids": [f"no-{n}" for n in range(1_000)]}
    assert conversation.http.get(conversation.path, params=many).json()["turns"] == []


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE"])
def test_wrong_methods(server: Replaystack, method: str) -> None:
    answer = ask(server, request(method, AGENTS))
    check_error(answer, 405, method)
    assert {"GET", "POST"} <= _allowed(answer)


def test_options_and_unheard_of_methods(server: Replaystack) -> None:
    assert "POST" in _allowed(ask(server, request("OPTIONS", AGENTS)))
    check_error(ask(server, request("BREW", AGENTS)), 400)


def _allowed(answer: httpx.Response) -> set[str]:
    return {method.strip() for method in answer.headers["allow"].split(",")}


def test_methods_of_other_paths(api: Api) -> None:
    agent_id = api.create_agent()
    check_error(api.http.put(f"{AGENTS}/{agent_id}"), 405)
    check_error(api.http.delete(f"{AGENTS}/{agent_id}/sessions"), 405)
    check_error(api.http.get(f"{AGENTS}/{agent_id}/session"), 405)


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (b"text/plain", 415),
        (b"application/x-www-form-urlencoded", 415),
        (b"multipart/form-data; boundary=x", 415),
        (b"application/xml", 415),
        (b"application/json; charset=utf-8", 200),
        (b"APPLICATION/JSON", 200),
        (b"application/vnd.api+json", 200),
        (b"\xff\xfe", 415),
    ],
)
def test_content_types(server: Replaystack, content_type: bytes, status: int) -> None:
    answer = ask(server, request("POST", AGENTS, b"content-type: " + content_type + b"\r\n", agent_with()))
    if status == 200:
        assert answer.status_code == 200
    else:
        check_error(answer, status, "application/json")


def test_a_request_without_a_body_may_name_a_content_type(api: Api) -> None:
    conversation = api.conversation()
    headers = {"content-type": "application/json"}
    turn = conversation.turn()
    path = f"{conversation.path}/turn/{turn['turn_id']}"
    assert api.http.request("GET", path, headers=headers).status_code == 200
    assert api.http.post(f"{path}/cancel", headers=headers).status_code == 200
    assert api.http.post(f"{path}/cancel").status_code == 200
    assert api.http.delete(conversation.path, headers=headers).status_code == 200


def test_pipelined_requests_are_answered_in_order(server: Replaystack) -> None:
    with connection(server) as opened:
        opened.sendall(
            request("GET", "/v1/health")
            + request("POST", AGENTS, JSON, agent_with())
            + request("POST", AGENTS, JSON, b"{")
            + request("GET", f"{AGENTS}/nope")
            + request("GET", "/v1/version", b"connection: close\r\n")
        )
        statuses = [answer.status_code for answer in answers(opened)]
    assert statuses == [200, 200, 400, 404, 200]


def test_half_requests_hold_up_nobody(server: Replaystack, api: Api) -> None:
    halves = [
        b"GET /v1/hea",
        b"POST /v1alpha/agents HTTP/1.1\r\nhost: localhost\r\n",
        request("POST", AGENTS, JSON + b"content-length: 100\r\n", b'{"agent_config":'),
        request("POST", AGENTS, JSON + b"transfer-encoding: chunked\r\n", b"5\r\n{"),
    ]
    with ExitStack() as stack:
        for number in range(80):
            opened = stack.enter_context(connection(server))
            opened.sendall(halves[number % len(halves)])
        assert api.conversation().turn()["output_message"]["content"] == ANSWER
    # The same when bytes come one by one.
    raw = request("GET", "/v1/health")
    with connection(server) as opened:
        for byte in raw:
            opened.sendall(bytes([byte]))
            time.sleep(0.001)
        assert next(answers(opened)).status_code == 200


def test_clients_that_leave_before_their_answer(server: Replaystack, api: Api) -> None:
    conversation = api.conversation()
    for _ in range(20):
        with connection(server) as opened:
            opened.sendall(request("GET", conversation.path))
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert conversation.turn()["output_message"]["content"] == ANSWER


def test_traceparents_that_are_none(api: Api) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    right = api.http.get(AGENTS, headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    assert right.headers["x-trace-id"] == trace
    for wrong in (
        "",
        "x",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"ff-{trace}-b7ad6b7169203331-01",
        "00-" + "z" * 60,
    ):
        answer = api.http.get(AGENTS, headers={"traceparent": wrong})
        assert answer.status_code == 200
        assert answer.headers["x-trace-id"] not in ("", trace, "0" * 32)


def test_unknown_fields_of_sessions_and_turns(conversation: Conversation) -> None:
    sessions = f"{AGENTS}/{conversation.agent_id}/session"
    check_error(
        conversation.http.post(sessions, json={"session_nam": "x"}), 400, "session_nam", "session_name"
    )
    check_error(conversation.post(streem=True), 400, "streem", "stream")
    check_error(conversation.post(tool_choice="auto"), 400, "tool_choice")
    misspelt = [{"role": "user", "contents": "x"}]
    check_error(conversation.post(misspelt), 400, "contents", "content")
