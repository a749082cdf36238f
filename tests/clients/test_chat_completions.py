"""Chat completions with llama-stack-client of both series."""

from __future__ import annotations

import pytest

from tests.clients.interpreters import Client, clients
from tests.server.process import Replaystack


@pytest.mark.parametrize("client", [*clients("0.2"), *clients("0.3")], ids=lambda client: str(client.version))
def test_whole_streamed_and_refused(client: Client, server: Replaystack) -> None:
    found = client.run("chat_completions", server.url, "scripted/text;chunks=3")
    assert found == {
        "whole": "The answer comes",
        "streamed": "The answer comes",
        "finish_reason": "stop",
        "unknown": [404, True],
    }
