"""Collections of a server: listed, searched by agents, indexed again when their files change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.cli.folders import replaystack
from tests.server.api import Api, check_error
from tests.server.process import Replaystack, wait_until
from tests.servers.processes import RunningServer

pytestmark = pytest.mark.slow

SEARCHES = "scripted/tools;name=knowledge_search"
"""A model that searches for the word "scripted"."""


class Served:
    """A server with the collections `docs` and `empty`; `folder` is that of `docs`."""

    def __init__(self, server: Replaystack, http: httpx.Client, folder: Path) -> None:
        self.server = server
        self.http = http
        self.api = Api(http)
        self.folder = folder

    def found(self, **args: Any) -> dict[str, Any]:
        """The response of the tool to an agent's search."""
        group = {"name": "builtin::rag", "args": args} if args else "builtin::rag"
        turn = self.api.conversation(SEARCHES, toolgroups=[group]).turn("Search.")
        [response] = turn["steps"][1]["tool_responses"]
        assert response["tool_name"] == "knowledge_search"
        found: dict[str, Any] = response
        return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, scripted_server: RunningServer) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("documents")
    (folder / "play.md").write_text("# A play\n\nIt was scripted by many hands.")
    (folder / "other.txt").write_text("Nothing of interest.")
    (folder / "latin.txt").write_bytes(b"caf\xe9")
    collections = [
        {"id": "docs", "path": str(folder)},
        {"id": "empty", "path": str(folder / "none"), "embedding_model": ""},
    ]
    environment = {"REPLAYSTACK_COLLECTIONS": json.dumps(collections)}
    data = tmp_path_factory.mktemp("collections") / "data"
    with (
        Replaystack(data, model_url=scripted_server.base_url, environment=environment) as server,
        server.http() as http,
    ):
        yield Served(server, http, folder)
    assert server.wait() == 0


def test_an_agent_searches_a_collection(served: Served) -> None:
    response = served.found(vector_db_ids=["docs"])
    text = "# A play\n\nIt was scripted by many hands."
    assert response["content"] == f'<document id="play.md" collection="docs">\n{text}\n</document>'
    [source] = response["metadata"]["sources"]
    assert source.pop("score") > 0
    assert source == {"document_id": "play.md", "vector_db_id": "docs", "start": 0, "end": len(text)}
    # All collections, where none is named.
    assert served.found()["content"] == response["content"]


def test_nothing_is_found_in_an_empty_collection(served: Served) -> None:
    assert served.found(vector_db_ids=["empty"])["content"] == "No passage matches. Try other words."


def test_the_tool_can_be_named(served: Served) -> None:
    group = {"name": "builtin::rag/knowledge_search", "args": {"vector_db_ids": ["docs"]}}
    turn = served.api.conversation(SEARCHES, toolgroups=[group]).turn("Search.")
    assert "scripted by many hands" in turn["steps"][1]["tool_responses"][0]["content"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({"vector_db_ids": ["docs", "dcos"]}, "no collection 'dcos'. Collections: docs, empty"),
        ({"vector_db_ids": "docs"}, "a list of ids"),
        ({"vector_db_ids": [1]}, "a list of ids"),
        ({"top_k": 3}, "remove 'top_k'"),
    ],
)
def test_wrong_arguments_of_the_group(served: Served, args: dict[str, Any], says: str) -> None:
    group = {"name": "builtin::rag", "args": args}
    config = {"model": SEARCHES, "instructions": "", "toolgroups": ["builtin::code_interpreter", group]}
    made = served.http.post("/v1alpha/agents", json={"agent_config": config})
    check_error(made, 400, says, "agent_config.toolgroups[1]")
    conversation = served.api.conversation(SEARCHES)
    check_error(conversation.post("Search.", toolgroups=[group]), 400, says)


def test_collections_are_listed(served: Served) -> None:
    listed = served.http.get("/v1/vector-dbs").json()["data"]
    assert [one["identifier"] for one in listed] == ["docs", "empty"]
    assert served.http.get("/v1/vector-dbs/docs").json() == listed[0]
    assert listed[0]["type"] == "vector_db" and listed[0]["embedding_model"] == "bm25"
    check_error(served.http.get("/v1/vector-dbs/nothing"), 404, "[[collections]]")
    check_error(served.http.post("/v1/vector-dbs", json={}), 501, "[[collections]]")


def test_files_that_were_left_out_are_in_the_log(served: Served) -> None:
    wait_until(lambda: "latin.txt: it is not utf-8 at byte 3" in served.server.log)
    told = replaystack("doctor", "--data", served.server.data).stdout
    assert "docs: 1 file was left out: latin.txt" in told
    assert f"{served.folder / 'none'}: it cannot be read" in told


def test_a_worker_that_is_killed_is_replaced(served: Served) -> None:
    assert "scripted" in served.found(vector_db_ids=["docs"])["content"]
    for process in psutil.Process(served.server.pid).children(recursive=True):
        if "stack.providers.retrieval.index_worker" in " ".join(process.cmdline()):
            process.kill()
    assert (
        "Error: The collection 'docs' could not be searched"
        in served.found(vector_db_ids=["docs"])["content"]
    )
    wait_until(lambda: "by many hands" in served.found(vector_db_ids=["docs"])["content"])


def test_changed_files_are_indexed_again(served: Served) -> None:
    (served.folder / "new.txt").write_text("Another scripted text.")
    wait_until(lambda: "Another scripted text." in served.found(vector_db_ids=["docs"])["content"])
    (served.folder / "new.txt").unlink()
    wait_until(lambda: "Another scripted text." not in served.found(vector_db_ids=["docs"])["content"])
