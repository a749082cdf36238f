"""Sessions as they are played back, to compare them with what their callers got."""

from __future__ import annotations

import json
from typing import Any

import httpx

from tests.server.api import Conversation, Frame, parse


def without_keep_alive(raw: bytes) -> bytes:
    return raw.replace(b": \n", b"")


def frames_page(conversation: Conversation, after: str = "") -> dict[str, Any]:
    query = {"after": after} if after else {}
    answer = conversation.http.get(f"{conversation.path}/frames", params=query)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def streams_in(page: bytes) -> dict[int, bytes]:
    """Returns the stream of each turn that has rows on a page, made from the bytes of the rows."""
    text = page.decode()
    streams: dict[int, bytes] = {}
    decoder = json.JSONDecoder()
    at = text.index("[") + 1
    while text[at] == "[":
        row, end = decoder.raw_decode(text, at)
        head = json.dumps(row[:3], separators=(",", ":"))[:-1] + ","
        assert text.startswith(head, at)
        data = text[at + len(head) : end - 1]
        streams[row[0]] = streams.get(row[0], b"") + f"id: {row[2]}\ndata: {data}\n\n".encode()
        at = end + (text[end] == ",")
    return streams


def played(
    conversation: Conversation, query: str = "", headers: dict[str, str] | None = None
) -> httpx.Response:
    return conversation.http.get(f"{conversation.path}/stream{query}", headers=headers)


def streams_of(raw: bytes) -> dict[int, bytes]:
    """Returns the stream of each turn in the stream of their session."""
    streams: dict[int, bytes] = {}
    for frame in parse(raw):
        turn, _, own = frame.id.partition(".")
        streams[int(turn)] = streams.get(int(turn), b"") + f"id: {own}\ndata: {frame.data}\n\n".encode()
    return streams


def last_id(raw: bytes) -> str:
    frames: list[Frame] = parse(raw)
    return frames[-1].id


def check_played(conversation: Conversation, live: list[bytes]) -> None:
    """Fails unless frames, stream, and the streams of the turns are what callers got, byte for byte."""
    wanted = {number: without_keep_alive(raw) for number, raw in enumerate(live, 1)}
    answer = conversation.http.get(f"{conversation.path}/frames")
    assert answer.status_code == 200, answer.text
    assert streams_in(answer.content) == wanted
    page = answer.json()
    assert page["has_more"] is False
    assert [turn["turn"] for turn in page["turns"]] == list(wanted)
    for turn in page["turns"]:
        assert conversation.replay(turn["turn_id"]).content == wanted[turn["turn"]]
        assert turn["status"] == conversation.outcome(turn["turn_id"])["status"]
        times = [row[1] for row in page["data"] if row[0] == turn["turn"]]
        assert times == sorted(times) and times[0] == 0
    whole = played(conversation)
    assert whole.status_code == 200 and streams_of(whole.content) == wanted
    if page["data"]:
        assert page["next"] == last_id(whole.content)
        assert played(conversation, headers={"last-event-id": page["next"]}).status_code == 204
    assert frames_page(conversation, page["next"])["data"] == []
