"""Session files as tests export and import them over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
from msgspec.structs import replace

from stack.services.replay.session_file import read_session_file, written
from stack.services.replay.session_lines import Lines
from stack.services.replay.session_record import SessionRecord
from tests.server.api import Api, Conversation

IMPORT = "/v1alpha/sessions/import"
LINES = {"content-type": "application/jsonl"}
LONG = "long text " * 40_000


def exported(conversation: Conversation) -> bytes:
    answer = conversation.http.get(f"{conversation.path}/export")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == LINES["content-type"]
    return answer.content


def import_(api: Api, file: bytes, **query: str) -> httpx.Response:
    return api.http.post(IMPORT, content=file, headers=LINES, params=query)


def imported(api: Api, file: bytes, **query: str) -> Conversation:
    answer = import_(api, file, **query)
    assert answer.status_code == 200, answer.text
    return Conversation(api, answer.json()["agent_id"], answer.json()["session_id"])


def shown(conversation: Conversation) -> list[Any]:
    """The answers about a session, byte for byte: the session, its agent, its turns, their outcomes and streams."""
    http, path = conversation.http, conversation.path
    turns = [turn["turn_id"] for turn in conversation.show()["turns"]]
    paths = [path, f"/v1alpha/agents/{conversation.agent_id}", f"/v1alpha/sessions/{conversation.session_id}"]
    for turn_id in turns:
        paths += [f"{path}/turn/{turn_id}{suffix}" for suffix in ("", "/outcome", "/stream")]
    return [(one, http.get(one).raise_for_status().content) for one in paths]


def lines_of(file: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.splitlines()]


def changed(file: bytes, change: Callable[[SessionRecord], SessionRecord]) -> bytes:
    """Returns a valid file with other events."""
    read = read_session_file(file)
    record = change(read.record)
    header = replace(read.header, agent_id=record.agent_id, session_id=record.session_id)
    return b"".join(written(replace(read, header=header, record=record)))


def resealed(file: bytes) -> bytes:
    """Returns the file with the hash chain of its lines."""
    lines = Lines()
    return b"".join([*(lines.line(line) for line in file.splitlines()[:-1]), lines.closing()])
