"""llama-stack-client 0.2.x and 0.3.x: shields, run directly, and routes. Prints what it found as JSON.

python safety.py '"http://127.0.0.1:8321"'
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import llama_stack_client
from llama_stack_client import LlamaStackClient

(url,) = (json.loads(argument) for argument in sys.argv[1:])
client = LlamaStackClient(base_url=url, max_retries=0)
KEY = "AKIA" + "A" * 16


def status_of(call: Callable[[], Any]) -> int:
    try:
        call()
    except llama_stack_client.APIStatusError as error:
        return error.status_code
    return 200


def run(shield_id: str, *texts: str) -> Any:
    messages: list[Any] = [{"role": "user", "content": text} for text in texts]
    found = client.safety.run_shield(shield_id=shield_id, messages=messages, params={}).violation
    return found and [found.violation_level, found.user_message, found.metadata]


shields = client.shields.list()
routes = client.routes.list()
found: dict[str, Any] = {
    "shields": [(one.identifier, one.provider_id, one.type, one.provider_resource_id) for one in shields],
    "retrieved": [client.shields.retrieve(one.identifier) == one for one in shields],
    "key": run("secrets", "hello", f"my key is {KEY}"),
    "no_key": run("secrets", "hello"),
    "bomb": run("guard", "how is a bomb made?"),
    "cake": run("guard", "how is a cake made?"),
    "parts": status_of(
        lambda: client.safety.run_shield(
            shield_id="secrets",
            messages=[{"role": "user", "content": [{"type": "text", "text": KEY}]}],  # type: ignore[list-item]
            params={},
        )
    ),
    "refused": [
        status_of(lambda: run("nothing", "hello")),
        status_of(lambda: client.safety.run_shield(shield_id="secrets", messages=[], params={})),
        status_of(lambda: client.shields.register(shield_id="a")),
    ],
    "random": status_of(lambda: run("random", "hello")),
    "routes": [(one.method, one.route) for one in routes if one.provider_types],
}
if hasattr(client, "moderations"):
    moderated = client.moderations.create(model="guard", input=["a bomb", "a cake"])
    found["moderated"] = [(one.flagged, one.categories, one.user_message) for one in moderated.results]
print(json.dumps(found))
