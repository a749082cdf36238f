"""Which provider a model's name means, what is listed, and what is found on the usual ports."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import socket
import threading
import time
from collections.abc import Iterator

import msgspec
import pytest

from schemas.api.model import ListModelsResponse, Model
from stack.errors import Invalid
from stack.providers.inference import registry
from stack.providers.inference.discovery import UsualPort
from stack.providers.inference.openai_compatible import OpenAICompatible
from stack.providers.inference.registry import Models
from stack.providers.inference.settings import InferenceSettings
from tests.providers.inference.contract import answer_of, request
from tests.servers.processes import RunningServer

DEAD = InferenceSettings(id="dead", base_url="http://127.0.0.1:9/v1")


def one(id: str, server: RunningServer) -> InferenceSettings:
    return InferenceSettings(id=id, base_url=server.base_url)


@contextlib.contextmanager
def answering(body: bytes, content_type: str = "application/json", port: int = 0) -> Iterator[int]:
    """A web server that answers everything with `body`; gives its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """A socket that accepts connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.mark.anyio
async def test_the_demo_is_always_there() -> None:
    models = Models(discovery=False)
    for name in ("demo/extractive", "extractive"):
        provider, model = await models.resolve(name)
        assert (provider.id, model) == ("demo", "extractive")
        assert (await answer_of(provider, request(model))).finished
    [listed] = await models.list()
    assert listed.identifier == "demo/extractive"
    await models.aclose()


@pytest.mark.anyio
async def test_a_name_with_a_provider_needs_no_list() -> None:
    models = Models([DEAD], discovery=False)
    provider, model = await models.resolve("dead/meta/any-model:7b")
    assert (provider.id, model) == ("dead", "meta/any-model:7b")
    await models.aclose()


@pytest.mark.anyio
async def test_a_bare_name_must_be_unique(scripted: RunningServer) -> None:
    models = Models([one("a", scripted), one("b", scripted)], discovery=False)
    with pytest.raises(Invalid, match=r"ambiguous.*a/echo, b/echo"):
        await models.resolve("echo")
    await models.aclose()
    models = Models([one("a", scripted), DEAD], discovery=False)
    provider, model = await models.resolve("echo")
    assert (provider.id, model) == ("a", "echo")
    await models.aclose()


@pytest.mark.anyio
async def test_an_unknown_name_names_the_nearest(scripted: RunningServer) -> None:
    models = Models([one("a", scripted)], discovery=False)
    for name, nearest in [
        ("demo/extractiv", "demo/extractive"),
        ("ecko", "a/echo"),
        ("", ""),
        ("/", ""),
        ("b/", ""),
    ]:
        with pytest.raises(Invalid, match=r"unknown.*GET /v1/models") as failure:
            await models.resolve(name)
        assert nearest in failure.value.detail
    await models.aclose()


def test_ids_must_differ() -> None:
    twice = InferenceSettings(id="openai", base_url="http://127.0.0.1:9/v1")
    for settings, base_url in [([DEAD, DEAD], None), ([twice], "http://127.0.0.1:9/v1")]:
        with pytest.raises(ValueError, match="Two inference providers"):
            Models(settings, openai_base_url=base_url)
    with pytest.raises(ValueError, match="'demo'"):
        Models([InferenceSettings(id="demo", base_url="http://127.0.0.1:9/v1")])


@pytest.mark.anyio
async def test_the_environment_makes_openai(scripted: RunningServer) -> None:
    models = Models(openai_base_url=scripted.base_url, openai_api_key="key", discovery=False)
    provider, _ = await models.resolve("openai/echo")
    assert isinstance(provider, OpenAICompatible)
    assert provider.settings.base_url == scripted.base_url
    await models.aclose()
    models = Models(openai_api_key="key", discovery=False)
    provider, _ = await models.resolve("openai/gpt-x")
    assert isinstance(provider, OpenAICompatible)
    assert (provider.base_url, provider.flavour) == ("https://api.openai.com/v1", "openai")
    await models.aclose()


@pytest.mark.slow
@pytest.mark.anyio
async def test_a_silent_provider_delays_the_list_by_two_seconds_at_most(scripted: RunningServer) -> None:
    with silent() as port:
        stuck = InferenceSettings(id="stuck", base_url=f"http://127.0.0.1:{port}/v1")
        models = Models([stuck, DEAD, one("a", scripted)], discovery=False)
        begun = time.monotonic()
        listed = await models.list()
        assert time.monotonic() - begun < 8
        assert [model.identifier for model in listed] == [
            "a/text;chunks=20",
            "a/echo",
            "a/tools",
            "demo/extractive",
        ]
        states = {state.id: state for state in await models.state()}
        assert [states[id].reachable for id in ("stuck", "dead", "a", "demo")] == [False, False, True, True]
        assert "did not list its models within 2 s" in states["stuck"].detail
        assert "Check that it runs" in states["dead"].detail
        assert (states["a"].models, states["a"].detail, states["a"].origin) == (3, "", "settings")
        await models.aclose()


@pytest.mark.anyio
async def test_lists_are_kept_and_asked_for_once(scripted: RunningServer) -> None:
    models = Models([one("a", scripted)], discovery=False)
    before = scripted.counts()["connections"]
    await asyncio.gather(*(models.list() for _ in range(5)))
    assert scripted.counts()["connections"] - before == 2
    await models.aclose()


@pytest.mark.anyio
async def test_servers_on_the_usual_ports_are_found(scripted: RunningServer) -> None:
    models = Models(ports=[UsualPort("vllm", scripted.port, "vllm"), UsualPort("ollama", 9, "ollama")])
    provider, model = await models.resolve("vllm/text")
    assert provider.capabilities.grammar
    assert (await answer_of(provider, request(model))).text
    assert [(s.id, s.origin, s.reachable) for s in await models.state()] == [
        ("demo", "built in", True),
        ("vllm", "discovered", True),
    ]
    await models.aclose()


@pytest.mark.anyio
async def test_a_server_that_comes_up_later_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "LONELY_DISCOVERY_EVERY_S", 0.0)
    monkeypatch.setattr(registry, "EMPTY_TTL_S", 0.0)
    with answering(b'{"object":"list","data":null}') as port:
        pass
    models = Models(ports=[UsualPort("ollama", port, "ollama")])
    assert [model.id for model in await models.list()] == ["demo/extractive"]
    for body, listed in (
        (b'{"object":"list","data":null}', []),
        (b'{"object":"list","data":[{"id":"a"}]}', ["ollama/a"]),
    ):
        with answering(body, port=port):
            assert [model.id for model in await models.list()][1:] == listed
    await models.aclose()


@pytest.mark.anyio
async def test_discovery_can_be_off_and_leaves_configured_servers_alone(scripted: RunningServer) -> None:
    ports = [UsualPort("vllm", scripted.port, "vllm")]
    for models in (Models(ports=ports, discovery=False), Models([one("mine", scripted)], ports=ports)):
        await models.discover_now()
        assert "vllm" not in [state.id for state in await models.state()]
        await models.aclose()


@pytest.mark.anyio
async def test_what_is_no_model_server_is_not_taken_for_one() -> None:
    own = Model(
        identifier="demo/extractive",
        provider_id="demo",
        provider_resource_id="extractive",
        id="demo/extractive",
        owned_by="demo",
    )
    like_ours = b'{"object":"list","data":[' + msgspec.json.encode(own) + b"]}"
    bodies = [
        (msgspec.json.encode(ListModelsResponse([own])), "application/json"),
        (like_ours, "application/json"),
        (b"<html></html>", "text/html"),
        (b'{"models": []}', "application/json"),
        (b'{"object":"list","data":[{"name":"x"}]}', "application/json"),
        (b"[]", "application/json"),
    ]
    for body, content_type in bodies:
        with answering(body, content_type) as port:
            models = Models(ports=[UsualPort("vllm", port, "vllm")])
            await models.discover_now()
            assert [state.id for state in await models.state()] == ["demo"], body
            await models.aclose()
