"""Access control: hosts, origins and keys."""

from __future__ import annotations

import json

import pytest

from tests.server.api import TEXT, Api, check_error
from tests.server.conftest import FreshServer
from tests.server.process import Replaystack
from tests.server.raw_http import JSON, ask, request

AGENTS = "/v1alpha/agents"
AGENT = json.dumps({"agent_config": {"model": TEXT, "instructions": ""}}).encode()


@pytest.mark.parametrize(
    "host",
    [
        b"evil.example",
        b"evil.example:8321",
        b"127.0.0.1.evil.example",
        b"localhost@evil.example",
        b"",
        b"0x7f.1",
    ],
)
def test_a_foreign_host(server: Replaystack, host: bytes) -> None:
    answer = ask(server, request("GET", "/v1/health", b"" if host else b"host: \r\n", host=host))
    check_error(answer, 403)


@pytest.mark.parametrize("host", [b"localhost:", b"127.0.0.1:", b"[::1]:"])
def test_an_empty_port_is_the_default_one(server: Replaystack, host: bytes) -> None:
    """RFC 9110, 4.2.3."""
    assert ask(server, request("GET", "/v1/health", host=host)).status_code == 200
    check_error(ask(server, request("GET", "/v1/health", host=b":")), 403)
    check_error(ask(server, request("GET", "/v1/health", host=b"evil.example:")), 403)


@pytest.mark.parametrize(
    "host",
    [
        b"localhost:99999999999",
        b"localhost:65536",
        b"localhost:0x50",
        b"localhost:-1",
        b"localhost:+80",
        b"localhost:8 0",
        b"localhost:8_0",
        b"localhost:80a",
        b"localhost:" + b"9" * 5000,
        "localhost:\u0668\u0660".encode(),
        "localhost:\u00b2".encode("latin-1"),
        b"evil.example:99999999999",
        b"127.0.0.1:99999",
        b"[::1]:99999",
        b"[::1%25lo]",
        b"[::1%lo]:80",
        b"[localhost]",
        b"[]",
        b"[::1::]",
    ],
)
@pytest.mark.parametrize("path", ["/v1/health", AGENTS + "?limit=1"])
def test_a_malformed_host(server: Replaystack, host: bytes, path: str) -> None:
    check_error(ask(server, request("GET", path, host=host)), 400, "Host")
    check_error(ask(server, request("POST", AGENTS, JSON, AGENT, host=host)), 400, "Host")


@pytest.mark.parametrize(
    "target",
    [
        "http://localhost:99999999999/v1/health",
        "http://localhost:/v1/health",
        "http://localhost:0x50/v1/health",
        "http://localhost:-1/v1/health",
        "http://[::1%25lo]/v1/health",
        "http:///v1/health",
        "http://",
        "http://@/v1/health",
        "localhost:99999999999",
    ],
)
def test_an_absolute_target_with_a_malformed_host(server: Replaystack, target: str) -> None:
    for host in (b"localhost", target.partition("//")[2].partition("/")[0].encode() or b"localhost"):
        assert ask(server, request("GET", target, host=host)).status_code in (200, 400, 403)


def test_no_host_and_two_hosts(server: Replaystack) -> None:
    answer = ask(server, request("GET", "/v1/health", host=b""))
    check_error(answer, answer.status_code)
    assert answer.status_code in (400, 403)
    check_error(ask(server, request("GET", "/v1/health", b"host: evil.example\r\n")), 400, "host")


@pytest.mark.parametrize("host", [b"localhost", b"127.0.0.1", b"127.0.0.1:1", b"[::1]:8321", b"LOCALHOST:99"])
def test_loopback_hosts(server: Replaystack, host: bytes) -> None:
    assert ask(server, request("GET", "/v1/health", host=host)).status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        b"https://evil.example",
        b"null",
        b"",
        b"http://localhost.evil.example",
        b"http://localhost:1",
        b"file://",
    ],
)
def test_a_foreign_origin(server: Replaystack, origin: bytes) -> None:
    """No page of another site may read or write, whatever it asks for."""
    headers = b"origin: " + origin + b"\r\n"
    for raw in (
        request("GET", AGENTS, headers),
        request("POST", AGENTS, JSON + headers, AGENT),
        request("POST", AGENTS, b"content-type: text/plain\r\n" + headers, AGENT),
        request("OPTIONS", AGENTS, headers + b"access-control-request-method: POST\r\n"),
    ):
        answer = ask(server, raw)
        check_error(answer, 403)
        assert "access-control-allow-origin" not in answer.headers


def test_keys(fresh_server: FreshServer) -> None:
    server = fresh_server(environment={"REPLAYSTACK_API_KEYS": "ada:the-secret-of-ada"})
    with server.http() as client:
        for headers, status in (
            ({}, 401),
            ({"authorization": ""}, 401),
            ({"authorization": "Bearer"}, 401),
            ({"authorization": "Basic YWRhOnRoZQ=="}, 401),
            ({"authorization": "Bearer wrong"}, 403),
            ({"authorization": "Bearer the-secret-of-ada2"}, 403),
            ({"authorization": "Bearer the-secret-of-ad"}, 403),
        ):
            for method, path in (("GET", AGENTS), ("POST", AGENTS), ("GET", "/v1/models"), ("GET", "/nope")):
                answer = client.request(method, path, headers=headers)
                check_error(answer, status)
                assert "the-secret" not in answer.text
            if status == 401:
                assert answer.headers["www-authenticate"] == "Bearer"
        assert client.get("/v1/health").status_code == 200
        right = {"authorization": "Bearer the-secret-of-ada"}
        assert client.get(AGENTS, headers=right).status_code == 200
        assert client.get(AGENTS, headers={"authorization": "bearer the-secret-of-ada"}).status_code == 200
        twice = [("authorization", "Bearer wrong"), ("authorization", "Bearer the-secret-of-ada")]
        check_error(client.get(AGENTS, headers=twice), 400, "authorization")
        check_error(client.get("/admin/state", headers=right), 403)
        check_error(client.post("/admin/rebuild", headers=right), 403)
    server.check_healthy()
    server.stop()
    assert "the-secret" not in server.log


def test_local_commands_need_the_token_of_the_folder(api: Api) -> None:
    check_error(api.http.get("/admin/state"), 401)
    check_error(api.http.get("/admin/state", headers={"authorization": "Bearer guess"}), 403)
