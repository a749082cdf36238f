"""Finds model servers on the usual loopback ports.

Uses the standard library in threads: a machine without a model server must not pay for importing the HTTP
client.
"""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

from stack.providers.inference.model_list import is_model_server
from stack.providers.inference.settings import Flavour, InferenceSettings, is_loopback

PROBE_TIMEOUT_S = 0.5
MAX_ANSWER_BYTES = 4 * 2**20


class UsualPort(NamedTuple):
    id: str
    port: int
    flavour: Flavour


USUAL_PORTS = (
    UsualPort("ollama", 11434, "ollama"),
    UsualPort("vllm", 8000, "vllm"),
    UsualPort("llama.cpp", 8080, "llama.cpp"),
    UsualPort("lmstudio", 1234, "lmstudio"),
)


async def discover(
    taken: Iterable[InferenceSettings], ports: Iterable[UsualPort] = USUAL_PORTS
) -> list[InferenceSettings]:
    """Returns settings for the servers that respond, except those whose id or loopback port is in `taken`."""
    settings = list(taken)
    ids = {one.id for one in settings}
    addresses = {_loopback_port(one.base_url) for one in settings}
    asked = [usual for usual in ports if usual.id not in ids and usual.port not in addresses]
    answers = await asyncio.gather(*(asyncio.to_thread(_answers, usual.port) for usual in asked))
    return [
        InferenceSettings(id=usual.id, base_url=f"http://127.0.0.1:{usual.port}/v1", flavour=usual.flavour)
        for usual, answers_as_one in zip(asked, answers, strict=True)
        if answers_as_one
    ]


def _loopback_port(base_url: str) -> int | None:
    url = urlsplit(base_url)
    if not is_loopback(url.hostname or ""):
        return None
    return url.port or (443 if url.scheme == "https" else 80)


def _answers(port: int) -> bool:
    """Returns whether an OpenAI-compatible server without a key responds on the port."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", "/v1/models", headers={"accept": "application/json"})
        response = connection.getresponse()
        if response.status != 200:
            return False
        body = response.read(MAX_ANSWER_BYTES)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    # Another server of this project lists models too; using it as a provider could send turns in a circle.
    return is_model_server(body)
