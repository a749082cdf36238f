"""OpenAI-compatible servers: what goes out, what comes back, and every fault."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from schemas.events.payload import TurnUsage
from stack.errors import (
    Invalid,
    ReplaystackError,
    TooManyRequests,
    Unavailable,
    UpstreamFailed,
    UpstreamTimeout,
)
from stack.providers.inference.openai_compatible import OpenAICompatible
from stack.providers.inference.port import Opened, TextChunk
from stack.providers.inference.settings import InferenceSettings
from tests.providers.inference.contract import (
    TOOL,
    answer_of,
    kinds,
    raw,
    request,
    user,
)
from tests.servers.processes import RunningServer

KEY = "sk-secret-of-the-tests"


def settings(base_url: str, **more: Any) -> InferenceSettings:
    return InferenceSettings(id="upstream", base_url=base_url, api_key=KEY, **more)


@pytest.fixture
async def upstream(scripted: RunningServer) -> AsyncIterator[OpenAICompatible]:
    provider = OpenAICompatible(settings(scripted.base_url))
    yield provider
    await provider.aclose()


@pytest.fixture
async def hasty(scripted: RunningServer) -> AsyncIterator[OpenAICompatible]:
    """With timeouts that a test can wait for, and no retries."""
    provider = OpenAICompatible(
        settings(scripted.base_url, first_token_timeout_s=0.3, stall_timeout_s=0.2, max_retries=0)
    )
    yield provider
    await provider.aclose()


@pytest.fixture
async def patient(scripted: RunningServer) -> AsyncIterator[OpenAICompatible]:
    provider = OpenAICompatible(settings(scripted.base_url, max_retries=0))
    yield provider
    await provider.aclose()


async def wait_for(condition: Any, timeout_s: float = 60.0) -> None:
    end = time.monotonic() + timeout_s
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < end, "did not happen in time"
        await asyncio.sleep(0.02)


@pytest.mark.slow
@pytest.mark.anyio
async def test_text_usage_and_connection_are_as_sent(
    upstream: OpenAICompatible, scripted: RunningServer
) -> None:
    before = scripted.counts()["connections"]
    for _ in range(5):
        answer = await answer_of(upstream, request("text;chunks=6"))
        assert answer.text == "The answer comes in small pieces"
        assert answer.finished.usage.input_tokens == 7
        assert answer.finished.usage.output_tokens == 6
    counts = scripted.counts()
    # One for all five, and each look at the counts has its own.
    assert counts["connections"] - before == 2
    assert counts["disconnects"] == 0


@pytest.mark.anyio
@pytest.mark.parametrize(
    "script", ["text;chunks=20;coalesce=1", "text;chunks=3;gap_ms=5;first_ms=5;headers_ms=5"]
)
async def test_how_chunks_arrive_does_not_matter(upstream: OpenAICompatible, script: str) -> None:
    answer = await answer_of(upstream, request(script))
    assert answer.text.startswith("The answer comes")


@pytest.mark.anyio
async def test_usage_and_done_may_be_missing(upstream: OpenAICompatible) -> None:
    for script in ("no-usage", "no-done", "no-finish"):
        finished = (await answer_of(upstream, request(script))).finished
        assert (finished.reason, finished.usage) == ("stop", TurnUsage())


@pytest.mark.anyio
async def test_finish_reasons_are_kept(upstream: OpenAICompatible) -> None:
    assert (await answer_of(upstream, request("text;reason=length"))).finished.reason == "length"
    with pytest.raises(UpstreamFailed, match="'content_filter'"):
        await answer_of(upstream, request("text;reason=content_filter"))


@pytest.mark.anyio
async def test_a_server_that_refuses_stream_options_is_asked_once(
    upstream: OpenAICompatible, scripted: RunningServer
) -> None:
    for _ in range(2):
        assert (await answer_of(upstream, request("no-options"))).finished.usage == TurnUsage()
    bodies = [seen["body"] for seen in scripted.requests()]
    assert ["stream_options" in body for body in bodies] == [True, False, False]


@pytest.mark.anyio
async def test_several_tool_calls_stay_apart(upstream: OpenAICompatible) -> None:
    answer = await answer_of(upstream, request("tools;calls=3;pieces=5", tools=[raw(TOOL)]))
    assert [call[0] for call in answer.calls] == ["call_0", "call_1", "call_2"]
    assert all(call[2] == {"city": "scripted", "days": 1} for call in answer.calls)


@pytest.mark.anyio
async def test_the_request_says_what_was_asked(upstream: OpenAICompatible, scripted: RunningServer) -> None:
    asked = request(
        "echo",
        user("Grüße 🙂"),
        temperature=0.0,
        top_p=0.5,
        top_k=4,
        repetition_penalty=1.1,
        max_tokens=9,
        stop=["END"],
        tools=[raw(TOOL)],
        tool_choice="auto",
    )
    events = [event async for event in upstream.infer(asked, headers={"traceparent": "00-1-2-01"})]
    body = msgspec.json.decode("".join(event.text for event in events if isinstance(event, TextChunk)))
    assert body == {
        "model": "echo",
        "messages": [user("Grüße 🙂")],
        "stream": True,
        "stream_options": {"include_usage": True},
        "tools": [TOOL],
        "tool_choice": "auto",
        "temperature": 0.0,
        "top_p": 0.5,
        "top_k": 4,
        "repetition_penalty": 1.1,
        "max_tokens": 9,
        "stop": ["END"],
    }
    [seen] = scripted.requests()
    assert seen["headers"]["authorization"] == f"Bearer {KEY}"
    assert seen["headers"]["traceparent"] == "00-1-2-01"
    assert "openai-organization" not in seen["headers"]


@pytest.mark.anyio
async def test_without_a_key_no_credentials_are_sent(scripted: RunningServer) -> None:
    one = InferenceSettings(id="upstream", base_url=scripted.base_url, headers={"x-team": "tests"})
    provider = OpenAICompatible(one)
    await answer_of(provider, request("text"))
    await provider.aclose()
    [seen] = scripted.requests()
    assert "authorization" not in seen["headers"]
    assert seen["headers"]["x-team"] == "tests"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("script", "error", "detail"),
    [
        ("status;code=400", Invalid, "refused the request (400): scripted status 400"),
        ("status;code=401", UpstreamFailed, "Check the api_key of 'upstream'"),
        ("status;code=403", UpstreamFailed, "Check the api_key of 'upstream'"),
        ("status;code=404", UpstreamFailed, "Check base_url"),
        ("status;code=404;message=The model is unknown", Invalid, "upstream has no 'status;code=404;"),
        ("status;code=408", UpstreamTimeout, "(408)"),
        ("status;code=413", Invalid, "(413)"),
        ("status;code=500", UpstreamFailed, "failed (500)"),
        ("status;code=502", UpstreamFailed, "failed (502)"),
        ("status;code=504", UpstreamTimeout, "(504)"),
        ("redirect", UpstreamFailed, "redirects to http://example.invalid/"),
        ("html", UpstreamFailed, "else than an event stream: 502 Bad Gateway. Check base_url."),
        ("drop", UpstreamFailed, "broke off"),
        ("cut", UpstreamFailed, "broke off"),
        ("malformed", UpstreamFailed, "a chunk of the answer is malformed"),
        ("error", UpstreamFailed, "an error inside the answer: scripted failure"),
        ("huge-line", UpstreamFailed, "longer than 8 MiB"),
        ("flood", UpstreamFailed, "longer than 32 MiB"),
        ("mute", UpstreamTimeout, "did not answer within 0.3 s"),
        ("silent", UpstreamTimeout, "sent no first token within 0.3 s"),
        ("text;headers_ms=600", UpstreamTimeout, "did not answer within 0.3 s"),
        ("text;first_ms=600", UpstreamTimeout, "sent no first token within 0.3 s"),
        ("stall", UpstreamTimeout, "stopped sending within 0.2 s"),
        ("text;gap_ms=600", UpstreamTimeout, "stopped sending within 0.2 s"),
    ],
)
async def test_every_fault_has_its_error(
    hasty: OpenAICompatible,
    patient: OpenAICompatible,
    script: str,
    error: type[ReplaystackError],
    detail: str,
) -> None:
    provider = hasty if "within" in detail else patient
    with pytest.raises(error) as failure:
        await answer_of(provider, request(script))
    assert type(failure.value) is error
    assert detail in failure.value.detail
    assert "upstream" in failure.value.detail
    assert KEY not in failure.value.detail


@pytest.mark.anyio
async def test_a_timeout_does_not_run_while_the_reader_is_busy(hasty: OpenAICompatible) -> None:
    names = []
    async for event in hasty.infer(request("text;chunks=3;gap_ms=1"), headers={}):
        await asyncio.sleep(0.3)
        names.append(type(event).__name__)
    assert names == ["Opened", "TextChunk", "TextChunk", "TextChunk", "Finished"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("code", "error", "expected"),
    [(429, TooManyRequests, 30), (429, TooManyRequests, 60), (503, Unavailable, 30), (529, Unavailable, 30)],
)
async def test_a_long_wait_is_reported_at_once(
    upstream: OpenAICompatible,
    scripted: RunningServer,
    code: int,
    error: type[ReplaystackError],
    expected: int,
) -> None:
    wait_s = 3600 if expected == 60 else expected
    with pytest.raises(error) as failure:
        await answer_of(upstream, request(f"status;code={code};retry_after={wait_s}"))
    assert failure.value.retry_after == expected
    assert scripted.counts()["requests"] == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    "script",
    ["status;code=429;retry_after=1", "status;code=503", "status;code=529", "status;code=502", "drop"],
)
async def test_what_passes_is_tried_again(
    upstream: OpenAICompatible, scripted: RunningServer, script: str
) -> None:
    answer = await answer_of(upstream, request(f"{script};times=1"))
    assert answer.text == "The answer comes"
    counts = scripted.counts()
    assert counts["requests"] == 2
    tries = [seen["headers"]["x-stainless-retry-count"] for seen in scripted.requests()]
    assert tries == ["0", "1"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("script", "requests"),
    [("status;code=503", 3), ("status;code=500", 1), ("cut", 1), ("error", 1), ("malformed", 1)],
)
async def test_retries_are_bounded_and_never_follow_an_event(
    upstream: OpenAICompatible, scripted: RunningServer, script: str, requests: int
) -> None:
    with pytest.raises(ReplaystackError):
        await answer_of(upstream, request(script))
    assert scripted.counts()["requests"] == requests


@pytest.mark.anyio
async def test_a_spent_quota_is_not_tried_again(upstream: OpenAICompatible, scripted: RunningServer) -> None:
    with pytest.raises(TooManyRequests, match="insufficient_quota"):
        await answer_of(upstream, request("status;code=429;message=insufficient_quota"))
    assert scripted.counts()["requests"] == 1


@pytest.mark.anyio
async def test_a_server_that_is_not_there_is_named_without_the_key() -> None:
    for base_url in (
        "http://user:password@127.0.0.1:9/v1",
        "http://127.0.0.1:9/v1",
        "http://absent.invalid/v1",
    ):
        provider = OpenAICompatible(settings(base_url, max_retries=0))
        for attempt in (answer_of(provider, request("text")), provider.models()):
            with pytest.raises(UpstreamFailed, match="cannot be reached") as failure:
                await attempt
            assert "/v1)" in failure.value.detail
            assert KEY not in failure.value.detail
            assert "password" not in failure.value.detail
        await provider.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize("script", ["stall", "text;chunks=5000;gap_ms=2"])
async def test_closing_the_answer_stops_the_model(
    upstream: OpenAICompatible, scripted: RunningServer, script: str
) -> None:
    async with aclosing(upstream.infer(request(script), headers={})) as events:
        assert isinstance(await anext(events), Opened)
        assert isinstance(await anext(events), TextChunk)
    await wait_for(lambda: scripted.counts()["disconnects"] == 1)


@pytest.mark.anyio
@pytest.mark.parametrize("script", ["mute", "silent", "stall"])
async def test_cancelling_the_task_stops_the_model(
    upstream: OpenAICompatible, scripted: RunningServer, script: str
) -> None:
    task = asyncio.create_task(answer_of(upstream, request(script)))
    await wait_for(lambda: scripted.counts()["requests"] == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await wait_for(lambda: scripted.counts()["disconnects"] == 1)
    assert kinds((await answer_of(upstream, request("text"))).events)[-1] == "Finished"


@pytest.mark.anyio
async def test_a_kept_connection_that_was_closed_meanwhile_is_replaced(
    upstream: OpenAICompatible, scripted: RunningServer
) -> None:
    # `drop` closes the connection without an answer: what is kept alive by many servers for seconds only.
    await answer_of(upstream, request("text"))
    scripted.queue("drop", "text")
    assert (await answer_of(upstream, request("text"))).text


@pytest.mark.anyio
async def test_a_list_that_is_none_is_a_failure(scripted: RunningServer) -> None:
    provider = OpenAICompatible(settings(scripted.base_url.removesuffix("/v1") + "/control"))
    with pytest.raises(UpstreamFailed, match="Check base_url"):
        await provider.models()
    await provider.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("text;chunks=20", None),
        ("status;code=401", UpstreamFailed),
        ("cut", UpstreamFailed),
        ("flood", UpstreamFailed),
        ("mute", UpstreamTimeout),
        ("stall", UpstreamTimeout),
    ],
)
async def test_the_transport_for_tls_and_proxies_behaves_alike(
    scripted: RunningServer, script: str, error: type[ReplaystackError] | None
) -> None:
    # Credentials in the URL are left to the HTTP client's own transport, as TLS and proxies are.
    base_url = scripted.base_url.replace("://", "://user:word@")
    timeout_s = 0.3 if error is UpstreamTimeout else 30.0
    provider = OpenAICompatible(
        settings(base_url, first_token_timeout_s=timeout_s, stall_timeout_s=timeout_s, max_retries=0)
    )
    before = scripted.counts()["disconnects"]
    if error is None:
        connections = scripted.counts()["connections"]
        for _ in range(3):
            assert (await answer_of(provider, request(script))).finished.usage.output_tokens == 20
        assert scripted.counts()["connections"] - connections == 2
    else:
        with pytest.raises(error):
            await answer_of(provider, request(script))
    if script in ("mute", "stall", "flood"):
        await wait_for(lambda: scripted.counts()["disconnects"] == before + 1)
    await provider.aclose()
