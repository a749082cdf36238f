"""Stored content that is damaged costs what it held and nothing else: sessions, datasets and jobs stay usable."""

from __future__ import annotations

import base64
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.folders import replaystack
from tests.server.api import ANSWER, Api, Conversation
from tests.server.conftest import FreshServer
from tests.server.evals import Evals
from tests.server.process import Replaystack
from tests.servers.processes import RunningServer

pytestmark = [pytest.mark.slow, pytest.mark.long]

LONG = "The harbour opens at ten. " * 12_000  # above 256 KiB, so it goes to a blob
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 1_200


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def _replace(path: Path) -> None:
    path.write_bytes(zlib.compress(b"another content"))


DAMAGES: list[Callable[[Path], object]] = [
    _flip,
    _replace,
    lambda path: path.write_bytes(b""),
    Path.unlink,
]


def _blobs(data: Path) -> list[Path]:
    return sorted((data / "blobs").glob("??/*"))


def _messages(scripted: RunningServer) -> list[dict[str, Any]]:
    """Returns the last request to the model."""
    messages: list[dict[str, Any]] = scripted.requests()[-1]["body"]["messages"]
    return messages


def _check_reports(server: Replaystack, names: str) -> None:
    doctor = replaystack("doctor", "--data", server.data)
    assert doctor.returncode == 1 and "damaged" in doctor.stdout and "verify" in doctor.stdout
    verified = replaystack("verify", "--data", server.data)
    assert verified.returncode == 1 and names in verified.stdout


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_session_with_a_damaged_message_goes_on(
    fresh_server: FreshServer, scripted: RunningServer, damage: Callable[[Path], object]
) -> None:
    server = fresh_server()
    with server.http() as http:
        conversation = Api(http).conversation()
        first = conversation.turn("Hello")
        bad = conversation.turn(LONG)
        streamed = conversation.streamed("And then?")
        [blob] = _blobs(server.data)
    server.kill9()
    damage(blob)
    server.start()
    with server.http() as http:
        conversation = Conversation(Api(http), conversation.agent_id, conversation.session_id)
        turns = conversation.show()["turns"]
        assert [turn["turn_id"] for turn in turns[:2]] == [first["turn_id"], bad["turn_id"]]
        assert turns[0] == first and turns[1]["output_message"] == bad["output_message"]
        said = turns[1]["input_messages"][0]["content"]
        assert blob.name in said and "damaged" in said and "backup" in said
        assert conversation.get(bad["turn_id"]).json() == turns[1]
        step = bad["steps"][0]
        assert conversation.get(bad["turn_id"], f"/step/{step['step_id']}").json()["step"] == step
        assert conversation.replay(bad["turn_id"]).status_code == 200
        assert conversation.replay(turns[2]["turn_id"]).content == streamed
        assert http.get(f"/v1alpha/agents/{conversation.agent_id}/sessions").status_code == 200
        assert conversation.turn("And now?")["output_message"]["content"] == ANSWER
        asked = [message["content"] for message in _messages(scripted) if message["role"] == "user"]
        assert asked[0] == "Hello" and blob.name in asked[1] and asked[2:] == ["And then?", "And now?"]
        _check_reports(server, blob.name)
        # The same content stored again repairs it.
        conversation.turn(LONG)
    server.kill9()
    server.start()
    with server.http() as http:
        conversation = Conversation(Api(http), conversation.agent_id, conversation.session_id)
        assert conversation.show()["turns"][1] == bad
        assert replaystack("verify", "--data", server.data).returncode == 0


def test_documents_images_and_instructions_that_are_damaged(
    fresh_server: FreshServer, scripted: RunningServer
) -> None:
    server = fresh_server()
    picture = {"type": "image", "image": {"data": base64.b64encode(PNG).decode()}}
    with server.http() as http:
        conversation = Api(http).conversation(instructions=LONG)
        message = {"role": "user", "content": [{"type": "text", "text": "Look."}, picture]}
        document = {"content": f"document {LONG[:150_000]}", "mime_type": "text/plain"}
        conversation.turn([message], documents=[document])
    server.kill9()
    assert len(_blobs(server.data)) == 2
    for blob in _blobs(server.data):
        _flip(blob)
    server.start()
    with server.http() as http:
        conversation = Conversation(Api(http), conversation.agent_id, conversation.session_id)
        assert conversation.turn("And now?")["output_message"]["content"] == ANSWER
        messages = _messages(scripted)
        assert "damaged" in messages[0]["content"]
        assert "image_url" not in str(messages) and "an image that is not available" in str(messages)
        agent = http.get(f"/v1alpha/agents/{conversation.agent_id}").json()
        assert "damaged" in agent["agent_config"]["instructions"]
        assert http.get("/v1alpha/agents").status_code == 200


@pytest.mark.parametrize("rebuild", [False, True])
def test_a_damaged_event_of_a_turn_costs_that_turn(
    fresh_server: FreshServer, scripted: RunningServer, rebuild: bool
) -> None:
    server = fresh_server()
    with server.http() as http:
        conversations = [Api(http).conversation() for _ in range(6)]
        for conversation in conversations:
            conversation.turn("First")
            conversation.turn("Second")
            conversation.turn("Third")
            # Reading waits for the read models: they hold what is damaged below.
            assert len(conversation.show()["turns"]) == 3
    server.kill9()
    names = []
    with closing(sqlite3.connect(server.data / "events.sqlite")) as log, log:
        for number, conversation in enumerate(conversations):
            [turn] = log.execute(
                "SELECT stream FROM events WHERE name LIKE 'turn.started%' AND CAST(state AS TEXT) LIKE ? ORDER BY position "
                "LIMIT 1 OFFSET 1",
                (f'%"session_id":"{conversation.session_id}"%',),
            ).fetchone()
            events = log.execute(
                "SELECT position, name FROM events WHERE stream = ? ORDER BY version", (turn,)
            ).fetchall()
            position, name = events[number % len(events)]
            names.append(name)
            log.execute(
                "UPDATE events SET state = CAST(replace(state, '{', '[') AS BLOB) WHERE position = ?",
                (position,),
            )
    assert {"turn.started.1", "turn.step_completed.1", "turn.completed.1"} <= set(names)
    if rebuild:
        for file in server.data.glob("views.duckdb*"):
            file.unlink()
    server.start()
    with server.http() as http:
        for conversation, name in zip(conversations, names, strict=True):
            conversation = Conversation(Api(http), conversation.agent_id, conversation.session_id)
            shown = conversation.show()["turns"]
            assert len(shown) == 3
            assert http.get(f"/v1alpha/agents/{conversation.agent_id}/sessions").status_code == 200
            assert conversation.turn("Fourth")["output_message"]["content"] == ANSWER
            messages = _messages(scripted)
            roles = [message["role"] for message in messages]
            assert roles == ["user", "assistant"] * 3 + ["user"], (name, messages)
            asked = [message["content"] for message in messages if message["role"] == "user"]
            assert asked[::2] == ["First", "Third"] and asked[3] == "Fourth"
            assert (asked[1] == "Second") == (name != "turn.started.1")
        _check_reports(server, "its content")


def test_rows_in_a_damaged_blob_fail_and_no_others(fresh_server: FreshServer) -> None:
    server = fresh_server()
    with server.http() as http:
        evals = Evals(http)
        long = "?" * 70_000
        benchmark = evals.registered([{"question": f"first {n}", "answer": ANSWER} for n in range(3)])
        name = benchmark.dataset_id
        evals.datasets.append(name, [{"question": f"{n}{long}", "answer": ANSWER} for n in range(3, 5)])
        evals.datasets.append(name, [{"question": f"last {n}", "answer": ANSWER} for n in range(5, 8)])
        everything = evals.datasets.rows(name)
        [blob] = _blobs(server.data)
        _flip(blob)
    server.kill9()
    server.start()
    with server.http() as http:
        evals = Evals(http)
        datasets = evals.datasets
        benchmark.evals, benchmark.http = evals, http
        page = datasets.page(name)
        assert page.status_code == 200 and page.json()["has_more"] is True
        assert page.json()["data"] == everything[:3]
        for start in (3, 4):
            refused = datasets.page(name, start_index=start)
            assert refused.status_code == 500
            detail = refused.json()["detail"]
            assert "Rows 3 to 4 " in detail and "start_index 5" in detail and blob.name in detail
        assert datasets.page(name, start_index=2, limit=4).json()["data"] == everything[2:3]
        assert datasets.rows(name, start_index=5) == everything[5:]
        assert datasets.show(name).status_code == 200 and name in datasets.listed()
        job = benchmark.job()
        outcome, result = benchmark.outcome(job), benchmark.result(job)
        assert outcome["status"] == "completed"
        scores = [row["score"] for row in result["scores"]["basic::equality"]["score_rows"]]
        assert scores == [1, 1, 1, 0, 0, 1, 1, 1]
        assert [bool(one.get("error")) for one in result["generations"]] == [score == 0 for score in scores]
        assert "Rows 3 to 4 " in result["generations"][3]["error"]
        assert datasets.append(name, [{"question": "more", "answer": "x"}]).status_code == 200
        _check_reports(server, blob.name)


@pytest.mark.parametrize("rebuild", [False, True])
def test_damaged_small_rows_are_named(fresh_server: FreshServer, rebuild: bool) -> None:
    """Those that are in the events themselves, many of which are read at once."""
    server = fresh_server()
    with server.http() as http:
        datasets = Evals(http).datasets
        name = datasets.registered([{"n": 0}])
        for number in range(1, 6):
            datasets.append(name, [{"n": number}])
    server.stop()
    with closing(sqlite3.connect(server.data / "events.sqlite")) as log, log:
        log.execute(
            "UPDATE events SET state = CAST(replace(state, '{\"n\":3}', '{\"n\":4}') AS BLOB) "
            "WHERE name LIKE 'dataset.rows_appended%'"
        )
    if rebuild:
        for file in server.data.glob("views.duckdb*"):
            file.unlink()
    server.start()
    with server.http() as http:
        datasets = Evals(http).datasets
        assert datasets.page(name).json()["data"] == [{"n": 0}, {"n": 1}, {"n": 2}]
        refused = datasets.page(name, start_index=3)
        assert refused.status_code == 500 and "Row 3 of dataset" in refused.json()["detail"]
        assert datasets.rows(name, start_index=4) == [{"n": 4}, {"n": 5}]
