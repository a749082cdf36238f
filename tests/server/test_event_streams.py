"""Event streams as browsers and proxies use them: an EventSource that stops, no transformation, HTTP/1.0."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest

from tests.server.api import Api, Conversation, parse, turn_body
from tests.server.datasets import Datasets
from tests.server.evals import Evals, asked, model
from tests.server.process import Replaystack
from tests.server.raw_http import connection
from tests.server.tool_calls import rain, waiting, weather_man

RECONNECTIONS = 5
UNBUFFERED = {"cache-control": "no-cache, no-transform", "x-accel-buffering": "no"}
EVALUATED = 3


def completed(api: Api) -> str:
    conversation = api.conversation()
    return _stream(conversation, conversation.turn()["turn_id"])


def failed(api: Api) -> str:
    conversation = api.conversation("scripted/cut;chunks=2;gap_ms=20")
    assert conversation.post().status_code == 502
    return _stream(conversation, conversation.only_turn_id())


def cancelled(api: Api) -> str:
    conversation = api.conversation("scripted/stall;chunks=1")
    with conversation.streaming() as stream:
        stream.until("step_progress")
        conversation.cancel(conversation.only_turn_id())
    return _stream(conversation, conversation.only_turn_id())


def awaiting_input(api: Api) -> str:
    conversation = weather_man(api)
    return _stream(conversation, waiting(conversation)["turn_id"])


def resumed(api: Api) -> str:
    conversation = weather_man(api)
    turn_id = waiting(conversation)["turn_id"]
    assert conversation.resume(turn_id, rain()).status_code == 200
    return _stream(conversation, turn_id)


def abandoned(api: Api) -> str:
    conversation = weather_man(api)
    turn_id = waiting(conversation)["turn_id"]
    waiting(conversation, "second")
    return _stream(conversation, turn_id)


def replayed(api: Api) -> str:
    return f"{completed(api)}?speed=1000"


def older_path(api: Api) -> str:
    return completed(api).replace("/v1alpha/", "/v1/")


def job(api: Api) -> str:
    return f"{_job(api)}/events"


def cancelled_job(api: Api) -> str:
    benchmark = Evals(api.http).registered(asked(EVALUATED))
    job_id = benchmark.job(model("scripted/stall;chunks=1"), wait=0)
    benchmark.cancel(job_id)
    return f"{benchmark.path}/jobs/{job_id}/events"


def evaluation(api: Api) -> str:
    benchmark = Evals(api.http).registered(asked(EVALUATED))
    job_id = benchmark.evaluate(asked(1)).headers["x-job-id"]
    return f"{benchmark.path}/jobs/{job_id}/events"


def _stream(conversation: Conversation, turn_id: str) -> str:
    return f"{conversation.path}/turn/{turn_id}/stream"


def _job(api: Api) -> str:
    benchmark = Evals(api.http).registered(asked(EVALUATED))
    return f"{benchmark.path}/jobs/{benchmark.job()}"


ENDED: list[Callable[[Api], str]] = [
    completed,
    failed,
    cancelled,
    awaiting_input,
    resumed,
    abandoned,
    replayed,
    older_path,
    job,
    cancelled_job,
    evaluation,
]


@pytest.mark.parametrize("ended", ENDED)
def test_an_event_source_gets_everything_and_stops(api: Api, ended: Callable[[Api], str]) -> None:
    """It connects again after each stream, with the id of the last frame, until an answer is not 200."""
    path = ended(api)
    whole = api.http.get(path)
    assert whole.status_code == 200 and UNBUFFERED.items() <= dict(whole.headers).items()
    ids: list[str] = []
    statuses: list[int] = []
    for _ in range(RECONNECTIONS):
        headers = {"accept": "text/event-stream"} | ({"last-event-id": ids[-1]} if ids else {})
        answer = api.http.get(path, headers=headers)
        statuses.append(answer.status_code)
        if answer.status_code != 200:
            break
        ids += _ids(answer.text)
    assert statuses == [200, 204]
    assert ids == _ids(whole.text)
    assert answer.content == b"" and "content-length" not in answer.headers
    assert "content-type" not in answer.headers and UNBUFFERED.items() <= dict(answer.headers).items()
    for index, frame_id in enumerate(ids[:-1]):
        rest = api.http.get(path, headers={"last-event-id": frame_id})
        assert (rest.status_code, _ids(rest.text)) == (200, ids[index + 1 :])
    assert api.http.get(path, headers={"last-event-id": "9999.0"}).status_code == 204


def _ids(text: str) -> list[str]:
    return [line[4:] for line in text.splitlines() if line.startswith("id: ")]


def test_a_stream_that_goes_on_is_not_called_ended(api: Api) -> None:
    """The reader has all there is so far; the turn runs, and then it is resumed."""
    conversation = api.conversation("scripted/text;chunks=6;gap_ms=100")
    with conversation.streaming() as stream:
        start = stream.until("turn_start")
        seen = stream.until("step_progress")
        rest = conversation.replay(start.payload["turn_id"], {"last-event-id": seen.id})
        assert rest.status_code == 200 and parse(rest.content)[-1].kind == "turn_complete"

    conversation = weather_man(api)
    frames = parse(conversation.streamed())
    turn_id = frames[0].payload["turn_id"]
    conversation.resume(turn_id, rain())
    rest = conversation.replay(turn_id, {"last-event-id": frames[-1].id})
    assert rest.status_code == 200 and parse(rest.content)[-1].kind == "turn_complete"


def test_every_stream_is_sent_unbuffered_and_unchanged(api: Api) -> None:
    conversation = weather_man(api)
    posted = conversation.post(stream=True, headers={"accept-encoding": "gzip"})
    turn_id = parse(posted.content)[0].payload["turn_id"]
    answers = [posted, conversation.resume(turn_id, rain(), stream=True)]
    for answer in answers:
        assert UNBUFFERED.items() <= dict(answer.headers).items()
        assert "content-encoding" not in answer.headers


def asked_by_old_client(server: Replaystack, head: str, body: bytes = b"") -> bytes:
    """The whole answer to an HTTP/1.0 request, read until the server closes the connection."""
    sized = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n" if body else ""
    with connection(server) as opened:
        opened.sendall(
            f"{head} HTTP/1.0\r\nhost: localhost\r\n{sized}connection: keep-alive\r\n\r\n".encode() + body
        )
        received = b""
        while piece := opened.recv(65536):
            received += piece
    return received


def answered(received: bytes) -> tuple[httpx.Headers, bytes]:
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    assert status.split(" ")[1] == "200", received
    headers = httpx.Headers([(name, value) for name, _, value in (line.partition(": ") for line in lines)])
    assert "transfer-encoding" not in headers and headers["connection"] == "close"
    return headers, body


@pytest.mark.parametrize("ended", [completed, job])
def test_streams_for_http_1_0_are_not_chunked(
    api: Api, server: Replaystack, ended: Callable[[Api], str]
) -> None:
    path = ended(api)
    _, body = answered(asked_by_old_client(server, f"GET {path}"))
    assert body == api.http.get(path).content


def test_a_turn_for_http_1_0_is_not_chunked(api: Api, server: Replaystack) -> None:
    conversation = api.conversation()
    body = json.dumps(turn_body("Hello", stream=True)).encode()
    _, streamed = answered(asked_by_old_client(server, f"POST {conversation.path}/turn", body))
    assert parse(streamed)[-1].kind == "turn_complete"


def test_long_answers_for_http_1_0_are_not_chunked(api: Api, server: Replaystack) -> None:
    datasets = Datasets(api.http)
    dataset_id = datasets.registered()
    for _ in range(4):
        assert datasets.append(dataset_id, [{"text": "x" * 1000}] * 600).status_code == 200
    path = f"/v1beta/datasetio/iterrows/{dataset_id}"
    _, body = answered(asked_by_old_client(server, f"GET {path}"))
    assert len(json.loads(body)["data"]) == 2400
    headers, body = answered(asked_by_old_client(server, "GET /v1/models"))
    assert int(headers["content-length"]) == len(body)
