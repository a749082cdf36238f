"""Deleted content is gone: no file of the data folder holds it any longer, and the receipt confirms this."""

from __future__ import annotations

import base64
import json
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from tests.cli.folders import replaystack
from tests.server.api import Api, Conversation, check_error
from tests.server.conftest import FreshServer
from tests.server.evals import Evals, agent, model
from tests.server.process import Replaystack, wait_until
from tests.server.telemetry import Telemetry
from tests.server.tool_calls import TOOLS, WEATHER, rain, waiting

pytestmark = [pytest.mark.slow, pytest.mark.long]

CAPTURING = {
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true",
    "REPLAYSTACK_TELEMETRY_SEALED_SPANS": "8",
}
LONG = "filling " * 60_000
"""Above what an event holds itself: the rest of it is a blob."""
DONE_S = 90.0


class Canaries:
    """Texts that are unlike anything else, each for a place of its own."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.made: list[str] = []

    def __call__(self, place: str) -> str:
        canary = f"canary-{self._name}-{place}-Zürich"
        self.made.append(canary)
        return canary


def found_in(data: Path, canaries: list[str], tmp_path: Path) -> dict[str, list[str]]:
    """The places where a canary is found, by canary: bytes of files, also as JSON and escaped, what is compressed in
    blobs, and values of tables, which a database compresses in ways of its own."""
    found: dict[str, list[str]] = {}
    texts = wait_until(lambda: _stable_texts(data, tmp_path))
    for canary in canaries:
        forms = {canary.encode(), json.dumps(canary)[1:-1].encode(), canary.encode("utf-16-le")}
        where = sorted(name for name, content in texts.items() if any(form in content for form in forms))
        if where:
            found[canary] = where
    return found


def _stable_texts(data: Path, tmp_path: Path) -> dict[str, bytes]:
    """Returns nothing while a sealed file is being written, or is removed: the server's own spans are moved to them."""
    try:
        return dict(_texts(data, tmp_path))
    except (FileNotFoundError, duckdb.Error):
        return {}


def _texts(data: Path, tmp_path: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(data.rglob("*")):
        if path.is_file():
            name, content = str(path.relative_to(data)), path.read_bytes()
            yield name, content
            if path.parent.parent.name == "blobs":
                yield f"{name} (unpacked)", zlib.decompress(content)
            if path.suffix == ".duckdb":
                yield from _tables(name, path, tmp_path)


def _tables(name: str, path: Path, tmp_path: Path) -> Iterator[tuple[str, bytes]]:
    copy = tmp_path / f"copy-{path.name}"
    for ending in ("", ".wal"):
        part = path.with_name(path.name + ending)
        copied = copy.with_name(copy.name + ending)
        copied.unlink(missing_ok=True)
        if part.exists():
            copied.write_bytes(part.read_bytes())
    with duckdb.connect() as db:
        db.execute(f"ATTACH '{copy}' AS copied")
        for schema, table in db.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'copied'"
        ).fetchall():
            rows = db.execute(f'SELECT * FROM copied."{schema}"."{table}"').fetchall()
            yield f"{name}: {table}", repr(rows).encode()


def receipt(http: httpx.Client, id: str) -> dict[str, Any]:
    answer = http.get(f"/v1alpha/erasures/{id}")
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def done(http: httpx.Client, id: str) -> dict[str, Any]:
    """The receipt, once the erasure is done."""
    return wait_until(lambda: (shown := receipt(http, id))["state"] == "done" and shown, DONE_S) or {}


def read_all(http: httpx.Client) -> None:
    """Recorded events are in read models and tables afterwards."""
    http.get("/v1alpha/agents").raise_for_status()
    Telemetry(http).traces()


def talk(api: Api, canary: Canaries) -> Conversation:
    """An agent with canaries wherever content may be."""
    tool = WEATHER | {"description": canary("description")}
    agent_id = api.create_agent(TOOLS, canary("instructions") + LONG, client_tools=[tool])
    conversation = Conversation(api, agent_id, api.create_session(agent_id, canary("session")))
    document = {"content": canary("document"), "mime_type": "text/plain"}
    page = base64.b64encode(f"<p>{canary('page')}</p>".encode()).decode()
    file = {"content": f"data:text/html;base64,{page}", "mime_type": "text/html"}
    turn = waiting(conversation, canary("message") + LONG, documents=[document, file])
    conversation.resume(turn["turn_id"], rain(content=canary("result"))).raise_for_status()
    return conversation


@pytest.fixture
def capturing(fresh_server: FreshServer) -> Replaystack:
    return fresh_server(environment=CAPTURING)


def test_what_was_deleted_is_in_no_file(capturing: Replaystack, tmp_path: Path) -> None:
    server = capturing
    gone, kept = Canaries("gone"), Canaries("kept")
    with server.http() as http:
        api = Api(http)
        other = talk(api, kept)
        conversation = talk(api, gone)
        before = other.show()
        read_all(http)
        places = {place for where in found_in(server.data, gone.made, tmp_path).values() for place in where}
        assert {"events.sqlite-wal", "views.duckdb.wal", "telemetry/00000000000000000001.otlp"} <= places
    # With everything in the files themselves, and a copy of damaged ones next to them.
    server.stop()
    damaged = server.data / "views.duckdb"
    damaged.write_bytes(b"\xff" * 4096 + damaged.read_bytes())
    server.start()
    assert list(server.data.glob("views.duckdb.damaged-*"))
    with server.http() as http:
        api = Api(http)
        read_all(http)
        inode = (server.data / "telemetry.duckdb").stat().st_ino
        http.delete(f"/v1alpha/agents/{conversation.agent_id}").raise_for_status()
        shown = done(http, conversation.agent_id)
        assert shown["kinds"] == ["agent"]
        counts = shown["erased"]
        assert counts["sessions"] == counts["turns"] == 1
        assert counts["events"] >= 8 and counts["blobs"] == 2 and counts["spans"] >= 2
        assert [left["where"] for left in shown["remains"]][1] == "telemetry"
        assert shown["remains"][1]["until"] > shown["completed_at"]
        assert found_in(server.data, gone.made, tmp_path) == {}
        assert not list(server.data.glob("*.damaged-*"))
        assert (server.data / "telemetry.duckdb").stat().st_ino != inode
        # What was not deleted is there, in every place.
        after = Conversation(api, other.agent_id, other.session_id).show()
        assert after == before
        assert found_in(server.data, kept.made, tmp_path).keys() == set(kept.made)
        read_all(http)
        server.check_healthy()
    server.restart()
    with server.http() as http:
        read_all(http)
        assert receipt(http, conversation.agent_id) == shown
        assert Conversation(Api(http), other.agent_id, other.session_id).show() == before
        assert found_in(server.data, gone.made, tmp_path) == {}
    assert '"level":"error"' not in server.log


def nulls_in(value: Any) -> list[Any]:
    match value:
        case dict():
            return [name for name, one in value.items() if one is None or nulls_in(one)]
        case list():
            return [one for one in value if one is None or nulls_in(one)]
    return []


def test_an_id_that_is_deleted_again_has_the_receipt_of_the_last_deletion(server: Replaystack) -> None:
    """Fields without a value are absent. Deleting what is gone changes no receipt."""
    rows = [{"question": "q", "answer": "a"}]
    source = {"type": "rows", "rows": rows}
    dataset = {"purpose": "eval/question-answer", "source": source, "dataset_id": "deleted-twice"}
    path = "/v1beta/datasets/deleted-twice"
    with server.http() as http:
        for appends in (0, 1):
            http.post("/v1beta/datasets", json=dataset).raise_for_status()
            for _ in range(appends):
                http.post(
                    "/v1beta/datasetio/append-rows/deleted-twice", json={"rows": rows}
                ).raise_for_status()
            http.delete(path).raise_for_status()
            shown = receipt(http, "deleted-twice")
            assert shown["state"] == "in_progress" and "completed_at" not in shown
            assert shown["kinds"] == ["dataset"] and nulls_in(shown) == []
            assert shown["erased"] == {
                "events": 1 + appends, "sessions": 0, "turns": 0, "jobs": 0, "blobs": 0, "spans": 0
            }  # fmt: skip
            assert [set(left) for left in shown["remains"]] == [
                {"what", "where"}, {"what", "where", "until"}, {"what", "where"}
            ]  # fmt: skip
            finished = done(http, "deleted-twice")
            assert finished["completed_at"] > finished["requested_at"] == shown["requested_at"]
            assert "waits_for" not in finished and finished["erased"] == shown["erased"]
            assert http.delete(path).status_code == 404
            assert receipt(http, "deleted-twice") == finished
    said = replaystack("erasure", "deleted-twice", "--url", server.url)
    assert said.returncode == 0 and "events 2, sessions 0" in said.stdout, said
    assert f"done       {finished['completed_at']}" in said.stdout and "None" not in said.stdout


def damage_near(file: Path, text: str) -> None:
    """Flips a bit right before the first place where a file has this text."""
    content = bytearray(file.read_bytes())
    content[content.index(text.encode()) - 1] ^= 0x10
    file.write_bytes(content)


def spans_of(http: httpx.Client, agent_id: str) -> list[dict[str, Any]]:
    return Telemetry(http).spans({"key": "gen_ai.agent.id", "op": "eq", "value": agent_id})


def segment(data: Path) -> Path:
    return data / "telemetry" / "00000000000000000001.otlp"


@pytest.mark.parametrize("tables", ["tables", "tables of another version", "no tables"])
def test_what_a_damaged_telemetry_log_leaves_is_erased(
    capturing: Replaystack, tmp_path: Path, tables: str
) -> None:
    """Damaged bytes, their copies, and tables that were kept; what the log has lost stays in the tables that serve."""
    server = capturing
    gone, kept = Canaries("gone"), Canaries("kept")
    with server.http() as http:
        other, conversation = talk(Api(http), kept), talk(Api(http), gone)
        read_all(http)
        spans = len(spans_of(http, other.agent_id))
    server.stop()
    for canary in (gone.made[-1], kept.made[-1]):
        damage_near(segment(server.data), canary)
    if tables == "tables of another version":
        with duckdb.connect(server.data / "telemetry.duckdb") as db:
            db.execute("UPDATE main.served SET schema_hash = 'another'")
    elif tables == "no tables":
        (server.data / "telemetry.duckdb").unlink()
    server.start()
    with server.http() as http:
        read_all(http)
        wait_until(lambda: list((server.data / "telemetry").glob("*.damaged")), DONE_S)
        http.delete(f"/v1alpha/agents/{conversation.agent_id}").raise_for_status()
        shown = done(http, conversation.agent_id)
        assert found_in(server.data, gone.made, tmp_path) == {}
        assert not list((server.data / "telemetry").glob("*.damaged"))
        removed = " ".join(shown["removed"])
        assert ".damaged" in removed and "damaged bytes at" in removed
        assert ("kept from a damaged log" in removed) is (tables == "tables of another version")
        if tables == "tables":
            assert len(spans_of(http, other.agent_id)) == spans
        again = Api(http).conversation()
        again.turn("afterwards")
        server.check_healthy()
    server.restart()
    with server.http() as http:
        read_all(http)
        assert receipt(http, conversation.agent_id) == shown
        assert not list((server.data / "telemetry").glob("*.damaged"))
        http.delete(again.path).raise_for_status()
        done(http, again.session_id)
        assert found_in(server.data, gone.made, tmp_path) == {}


def test_the_copy_of_lost_events_is_erased(fresh_server: FreshServer, tmp_path: Path) -> None:
    server = fresh_server()
    canary = Canaries("lost")
    with server.http() as http:
        agent_id = Api(http).create_agent(TOOLS)
        http.get("/v1alpha/agents").raise_for_status()
    server.stop()
    log = (server.data / "events.sqlite").read_bytes()
    server.start()
    with server.http() as http:
        conversation = Conversation(
            Api(http), agent_id, Api(http).create_session(agent_id, canary("session"))
        )
        conversation.turn(canary("message") + LONG)
        read_all(http)
    server.stop()
    (server.data / "events.sqlite").write_bytes(log)
    server.start(accept_loss=True)
    assert list(server.data.glob("views.duckdb.lost-*")) and found_in(server.data, canary.made, tmp_path)
    with server.http() as http:
        http.delete(f"/v1alpha/agents/{agent_id}").raise_for_status()
        shown = done(http, agent_id)
    assert any(name.startswith("views.duckdb.lost-") for name in shown["removed"])
    assert not list(server.data.glob("views.duckdb.lost-*"))
    assert found_in(server.data, canary.made, tmp_path) == {}


def test_rows_and_evaluations_are_erased_with_their_dataset_and_benchmark(
    capturing: Replaystack, tmp_path: Path
) -> None:
    rows, evaluated = Canaries("rows"), Canaries("evaluated")
    with capturing.http() as http:
        evals = Evals(http)
        row = {"question": rows("question"), "answer": rows("answer"), "long": rows("long") + LONG}
        benchmark = evals.registered([row], name="a/benchmark")
        asked = {"question": evaluated("question"), "answer": "x"}
        for config in (model(), agent(instructions=evaluated("instructions"))):
            benchmark.evaluate([asked], config=config).raise_for_status()
        benchmark.job()
        read_all(http)
        assert found_in(capturing.data, rows.made + evaluated.made, tmp_path)
        assert evals.unregister(benchmark.name).status_code == 200
        assert http.delete(f"/v1beta/datasets/{benchmark.dataset_id}").status_code == 200
        of_benchmark, of_dataset = done(http, benchmark.name), done(http, benchmark.dataset_id)
        assert (of_benchmark["kinds"], of_dataset["kinds"]) == (["benchmark"], ["dataset"])
        assert of_dataset["erased"]["blobs"] == 1
        assert found_in(capturing.data, rows.made + evaluated.made, tmp_path) == {}
        capturing.check_healthy()


def test_a_crash_at_any_time_leaves_an_erasure_that_the_next_start_finishes(
    fresh_server: FreshServer, tmp_path: Path
) -> None:
    server = fresh_server(environment=CAPTURING)
    gone: list[Canaries] = []
    ids: list[str] = []
    for number, pause_s in enumerate((0.0, 2.0, 2.2, 2.4, 2.7)):
        canary = Canaries(f"crash{number}")
        with server.http() as http:
            conversation = talk(Api(http), canary)
            read_all(http)
            http.delete(f"/v1alpha/agents/{conversation.agent_id}").raise_for_status()
        gone.append(canary)
        ids.append(conversation.agent_id)
        time.sleep(pause_s)
        server.kill9()
        server.start()
    with server.http() as http:
        for id in ids:
            done(http, id)
        assert found_in(server.data, [text for canary in gone for text in canary.made], tmp_path) == {}
        server.check_healthy()


def test_a_session_keeps_the_rest_of_its_agent(fresh_server: FreshServer, tmp_path: Path) -> None:
    server = fresh_server()
    canary = Canaries("session")
    with server.http() as http:
        api = Api(http)
        conversation = api.conversation(instructions="stays")
        conversation.turn(canary("message"))
        http.delete(conversation.path).raise_for_status()
        shown = done(http, conversation.session_id)
        assert (shown["kinds"], shown["erased"]["turns"], shown["erased"]["spans"]) == (["session"], 1, 0)
        assert found_in(server.data, canary.made, tmp_path) == {}
        check_error(http.get(f"/v1alpha/erasures/{conversation.agent_id}"), 404, conversation.agent_id)


def test_reads_and_writes_go_on_while_deletions_are_erased(fresh_server: FreshServer) -> None:
    server = fresh_server()
    with server.http() as http:
        api = Api(http)
        waits_for: list[str] = []
        for number in range(60):
            agent_id = api.create_agent(instructions=f"number {number}")
            assert agent_id in http.get("/v1alpha/agents").text
            if number % 3 == 0:
                http.delete(f"/v1alpha/agents/{agent_id}").raise_for_status()
                waits_for.append(agent_id)
        for agent_id in waits_for:
            done(http, agent_id)
        assert len(http.get("/v1alpha/agents").json()["data"]) == 40
        server.check_healthy()


def test_what_was_never_deleted_has_no_receipt(client: httpx.Client) -> None:
    check_error(client.get("/v1alpha/erasures/nothing/like/this"), 404, "nothing/like/this")
