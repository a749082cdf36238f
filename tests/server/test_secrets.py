"""Data that must not be kept: keys and provider data nowhere, messages not in the log of the process."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.server.api import Api
from tests.server.conftest import FreshServer
from tests.servers.processes import RunningServer

SECRETS = ("the-key-of-a-caller", "provider-data-of-a-caller", "the-key-of-the-models")


@pytest.mark.slow
def test_secrets_are_never_stored(fresh_server: FreshServer, scripted: RunningServer) -> None:
    """Not in events, views, blobs or logs, whatever fails; the model server gets its own key and no other."""
    said, key = "marker-of-what-was-said", SECRETS[2]
    server = fresh_server(
        log_level="debug",
        environment={
            "REPLAYSTACK_API_KEYS": f"ada:{SECRETS[0]}",
            "OPENAI_BASE_URL": scripted.base_url,
            "OPENAI_API_KEY": key,
        },
    )
    headers = {
        "authorization": f"Bearer {SECRETS[0]}",
        "x-llamastack-provider-data": f'{{"api_key": "{SECRETS[1]}"}}',
    }
    with server.http(headers=headers) as client:
        for script in ("text;chunks=2", "status;code=401", f"status;code=400;message=your key {key}", "cut"):
            scripted.queue(script)
            conversation = Api(client).conversation("openai/gpt", instructions=said)
            answer = conversation.post(said)
            assert key not in answer.text
            assert key not in conversation.get(conversation.only_turn_id(), "/outcome").text
        client.post("/v1alpha/agents", content=b'{"broken": "%s"' % said.encode())
    for request in scripted.requests():
        sent = str(request["headers"])
        assert f"Bearer {key}" in sent
        assert SECRETS[0] not in sent and SECRETS[1] not in sent
    assert server.stop() == 0
    assert not _files_with(server.data, *SECRETS)
    assert not [word for word in (*SECRETS, said) if word in server.log]


def _files_with(folder: Path, *words: str) -> list[str]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    return [f"{file}: {word}" for file in files for word in words if word.encode() in file.read_bytes()]


@pytest.mark.slow
def test_the_caller_and_the_trace_are_in_every_event(
    fresh_server: FreshServer, scripted: RunningServer
) -> None:
    server = fresh_server(environment={"REPLAYSTACK_API_KEYS": f"ada:{SECRETS[0]}"})
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"authorization": f"Bearer {SECRETS[0]}", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    with server.http(headers=headers) as client:
        conversation = Api(client).conversation()
        answer = conversation.post(stream=True)
        assert answer.headers["x-trace-id"] == trace
        [request] = scripted.requests()
        assert trace in request["headers"]["traceparent"]
    server.stop()
    events = (server.data / "events.sqlite").read_bytes()
    assert events.count(f'"actor":"ada","trace_id":"{trace}"'.encode()) >= 7
