"""Programs of others that ask through the gateway and send their telemetry here: one trace from the program to the
model, its promoted columns filled whichever conventions the sender follows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.server.process import ROOT, Replaystack
from tests.server.telemetry import Telemetry, where
from tests.servers.processes import RunningServer

pytestmark = pytest.mark.slow

MODEL = "scripted/text;chunks=3"
PRODUCERS = ("openai_v2", "openinference")


class Produced:
    """The results of a producer: its spans as it ended them, and the server that received them."""

    def __init__(self, name: str, spans: list[dict[str, Any]], telemetry: Telemetry) -> None:
        self.name = name
        self.spans = spans
        self.telemetry = telemetry

    @property
    def trace_id(self) -> str:
        [trace_id] = {str(span["trace_id"]) for span in self.spans}
        return trace_id

    @property
    def calls(self) -> list[dict[str, Any]]:
        return [span for span in self.spans if span["name"] != "work"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, scripted_server: RunningServer) -> Iterator[Replaystack]:
    data = tmp_path_factory.mktemp("producers") / "data"
    with Replaystack(data, model_url=scripted_server.base_url) as server:
        yield server
        server.check_healthy()
    assert '"level":"error"' not in server.log, server.log


@pytest.fixture(scope="module", params=PRODUCERS)
def produced(request: pytest.FixtureRequest, server: Replaystack) -> Iterator[Produced]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-m", f"tests.producers.{request.param}", server.url, MODEL],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0 and "Failed to export" not in done.stderr, done.stderr
    with server.http() as http:
        yield Produced(request.param, json.loads(done.stdout.splitlines()[-1]), Telemetry(http))


def test_it_is_one_trace_from_the_program_to_the_model(produced: Produced) -> None:
    [work] = [span for span in produced.spans if span["name"] == "work"]
    stored = {span["span_id"]: span for span in produced.telemetry.trace_spans(produced.trace_id)}
    assert len(stored) == len(produced.spans) + 4
    own = [span for span in stored.values() if span["name"] == "POST /v1/chat/completions"]
    called = [span for span in stored.values() if span["name"] == "chat text;chunks=3"]
    assert len(own) == len(called) == 2
    theirs = {span["span_id"] for span in produced.calls}
    assert {span["parent_span_id"] for span in own} == theirs
    assert {span["parent_span_id"] for span in called} == {span["span_id"] for span in own}
    assert {stored[one]["parent_span_id"] for one in theirs} == {work["span_id"]}
    trace = produced.telemetry.trace(produced.trace_id)
    assert trace["root_span_id"] == work["span_id"]


def test_attributes_are_as_they_were_sent(produced: Produced) -> None:
    stored = {span["span_id"]: span for span in produced.telemetry.trace_spans(produced.trace_id)}
    for span in produced.spans:
        sent = {key: list(one) if isinstance(one, list) else one for key, one in span["attributes"].items()}
        assert stored[span["span_id"]]["attributes"] == sent


def test_a_trace_is_found_by_what_any_of_its_spans_says(produced: Produced) -> None:
    model = {"openai_v2": "gen_ai.request.model", "openinference": "llm.model_name"}[produced.name]
    [first, _] = produced.calls
    for key, value in (
        (model, first["attributes"][model]),
        ("resource.service.name", f"producer-{produced.name.replace('_', '-')}"),
        ("gen_ai.provider.name", "scripted"),
        ("__root__", True),
    ):
        found = {one["trace_id"] for one in produced.telemetry.traces(where(key, "eq", value))}
        assert produced.trace_id in found, key
