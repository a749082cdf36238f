"""PDF and HTML documents of turns on a real server: read, recorded as text, run again, refused, erased."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.folders import replaystack
from tests.server.api import Api, Conversation, check_error
from tests.server.process import Replaystack
from tests.servers.processes import ROOT, RunningServer
from tests.services.pdfs import PAGE_LOOP, endless_pdf, inflating_pdf, pdf

pytestmark = pytest.mark.slow

GROUPS = [
    {"id": "mcp::tools", "command": [sys.executable, "-m", "tests.servers.mcp_tools"], "cwd": str(ROOT)}
]
PAGE = (
    "<html><head><title>No</title></head><body><p>The bakery<br>bakes.</p><script>x()</script></body></html>"
)


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, scripted_server: RunningServer
) -> Iterator[Replaystack]:
    data = tmp_path_factory.mktemp("files") / "data"
    environment = {"REPLAYSTACK_TOOLGROUPS": json.dumps(GROUPS)}
    settings = {"max_context_document_characters": 2000, "max_retrieved_tokens": 256}
    server = Replaystack(data, model_url=scripted_server.base_url, environment=environment, settings=settings)
    with server as running:
        yield running
        running.check_healthy()
    assert '"level":"error"' not in server.log, server.log


@pytest.fixture
def conversation(running: Replaystack) -> Iterator[Conversation]:
    with httpx.Client(base_url=running.url, timeout=120) as client:
        yield Api(client).conversation("scripted/echo")


def posted(body: bytes, media_type: str = "application/pdf") -> dict[str, Any]:
    url = f"data:{media_type};base64,{base64.b64encode(body).decode()}"
    return {"content": {"uri": url}, "mime_type": media_type}


def at(uri: str) -> dict[str, Any]:
    return {"content": uri, "mime_type": "text/plain"}


def check_identical(conversation: Conversation) -> None:
    report = conversation.http.get(f"{conversation.path}/check").json()
    assert report["verdict"] == "identical" and report["turns"], report


def test_the_model_reads_the_text_of_each_document(
    running: Replaystack, conversation: Conversation, tmp_path: Path
) -> None:
    documents = [
        posted(pdf("The harbour opens at ten.")),
        posted(PAGE.encode(), "text/html"),
        at("mcp://tools/memo://ferry.pdf"),
        at("mcp://tools/memo://tides.html"),
        at(f"data:text/html,{PAGE}"),
    ]
    answer = conversation.turn("Read.", documents=documents)["output_message"]["content"]
    texts = [
        "The harbour opens at ten.",
        r"The bakery\nbakes.",
        "The ferry leaves at noon.",
        r"High tide\nis at six.",
    ]
    places = [answer.index(text) for text in texts]
    assert places == sorted(places) and answer.count(texts[1]) == 2
    assert "%PDF" not in answer and "<script" not in answer and "<p>" not in answer
    later = conversation.turn("And?")["output_message"]["content"]
    assert later
    check_identical(conversation)
    file = tmp_path / "it.session.jsonl"
    for rules in ((), ("--redact", "email")):
        arguments = ("export", conversation.session_id, "--out", file, *rules, "--data", running.data)
        for command in (arguments, ("replay", file, "--check")):
            done: subprocess.CompletedProcess[str] = replaystack(*command)
            assert done.returncode == 0, done.stdout + done.stderr
    redacted = file.read_text()
    assert all(text in redacted for text in texts) and "base64" not in redacted and "<script" not in redacted


def test_passages_of_a_long_pdf_are_retrieved(conversation: Conversation) -> None:
    pages = [f"Page {number} is about number {number} and nothing else at all." for number in range(200)]
    document = posted(pdf(*pages, "The lighthouse keeper is called Ada."))
    turn = conversation.turn("Who is the lighthouse keeper?", documents=[document])
    [retrieval] = [step for step in turn["steps"] if step["step_type"] == "memory_retrieval"]
    assert "called Ada" in json.dumps(retrieval["inserted_context"])
    assert retrieval["vector_db_ids"] == "document:1"
    check_identical(conversation)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (posted(pdf("")), "it may be scanned"),
        (posted(pdf("secret", password="pass")), "needs a password"),
        (posted(b"%PDF-1.7\nbroken"), "not a readable PDF"),
        (posted(PAGE_LOOP), "not a readable PDF"),
        (posted(inflating_pdf(2**28)), "too large when it is decompressed"),
        (posted(b"<script>x()</script>", "text/html"), "no readable text"),
        (posted(bytes(8), "application/zip"), "is application/zip; documents are text, HTML or PDF"),
        (at("mcp://tools/memo://scan.pdf"), "it may be scanned"),
    ],
)
def test_a_document_without_text_is_refused_by_name(
    conversation: Conversation, document: dict[str, Any], problem: str
) -> None:
    answer = conversation.post("Read.", documents=[at("fine"), document])
    check_error(answer, 400, "documents[1].content", problem)
    assert conversation.http.get(conversation.path).json()["turns"] == []


def test_a_pdf_that_does_not_end_holds_up_no_other_turn(conversation: Conversation) -> None:
    def post_endless() -> None:
        with httpx.Client(base_url=conversation.http.base_url) as client:
            body = {
                "messages": [{"role": "user", "content": "Read."}],
                "documents": [posted(endless_pdf())],
            }
            # The client gives up, after the others were answered.
            with pytest.raises(httpx.ReadTimeout):
                client.post(f"{conversation.path}/turn", json=body, timeout=5)

    with ThreadPoolExecutor(3) as threads:
        endless = [threads.submit(post_endless) for _ in range(3)]
        others = Api(conversation.http).conversation("scripted/echo")
        document = posted(pdf("The harbour opens at ten."))
        others.turn("Hello")
        answer = others.turn("Read.", documents=[document])["output_message"]["content"]
        assert "The harbour opens at ten." in answer
        for one in endless:
            one.result()
    assert conversation.http.get(conversation.path).json()["turns"] == []
    check_identical(others)
