"""`kill -9` at random moments while spans come in: no span that was acknowledged is lost, and none is there twice."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.server.process import DidNotStart, Replaystack, wait_until
from tests.server.span_senders import FILLED, SPANS_OF_A_TRACE, Request, Senders, round_text
from tests.server.telemetry import Telemetry, where

pytestmark = pytest.mark.slow

KILLS = 50
LOAD_S = 0.3
"""A kill comes at a random moment of this: requests take 10 to 100 ms, four senders have one each under way."""
LONG_LOAD_S = 2.0
"""In one round of eight it comes at a random moment of this: moving old spans takes about a second."""
START_S = 0.4
"""One kill in four comes at a random moment of the start after another, or soon after it: the tables catch up."""
CHECK_EVERY = 12
SPANS_BEFORE = 125_000
"""Enough for spans to be moved to sealed files, again after each start that was too short."""
SEALED = 10_000
"""Old spans are moved to files this many at a time, and files are merged: kills come in all of its steps."""
SAMPLE = 40


def test_nothing_acknowledged_is_lost_or_doubled(tmp_path: Path) -> None:
    seed = int(os.environ.get("REPLAYSTACK_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
    try:
        folder = Folder(tmp_path / "data", seed)
        folder.run()
        assert folder.kills >= KILLS
    except BaseException as error:
        error.add_note(f"REPLAYSTACK_TEST_SEED={seed}")
        raise


class Folder:
    """One data folder through its kills."""

    def __init__(self, data: Path, seed: int) -> None:
        self.server = Replaystack(
            data, settings={"telemetry_max_spans": 100_000, "telemetry_sealed_spans": SEALED}
        )
        self.random = random.Random(seed)
        self.senders = Senders()
        self.kills = 0
        self._checked = FILLED

    def run(self) -> None:
        self.server.start()
        try:
            self.senders.fill(self.server, SPANS_BEFORE)
            while self.kills < KILLS:
                self.senders.begin(self.server)
                is_long = self.senders.round % 8 == 0
                time.sleep(self.random.uniform(0.0, LONG_LOAD_S if is_long else LOAD_S))
                self.kill()
                self.senders.end()
                while self.random.random() < 0.25:
                    self.kill_while_it_starts()
                self.server.start()
                if self.senders.round >= self._checked + CHECK_EVERY:
                    self.check_rounds()
            self.senders.deliver(self.server)
            assert all(request.acknowledged for request in self.senders.requests)
            self.check_rounds()
            self.check_traces()
            self.server.restart()
            self.check_traces()
            self.server.check_healthy()
            assert self.server.stop() == 0
            self.check_rows()
        finally:
            if self.server.running:
                self.server.kill9()

    def kill(self) -> None:
        self.server.kill9()
        self.kills += 1

    def kill_while_it_starts(self) -> None:
        before = self.server.pid

        def kill() -> None:
            wait_until(lambda: self.server.pid != before)
            time.sleep(self.random.uniform(0.0, START_S))
            self.kill()

        thread = threading.Thread(target=kill)
        thread.start()
        with suppress(DidNotStart):
            self.server.start()
        thread.join()

    def check_rounds(self) -> None:
        """Returns the requests that were first sent since the last check."""
        assert not self.senders.surprises, self.senders.surprises
        with self.server.http() as http:
            telemetry = Telemetry(http)
            for number in range(self._checked + 1, self.senders.round + 1):
                found = telemetry.spans(where("round", "eq", round_text(number)), returning=["n"])
                self.check_round(found, number, SPANS_OF_A_TRACE)
        self._checked = self.senders.round

    def check_round(self, spans: list[dict[str, Any]], number: int, of_a_trace: int) -> None:
        """Each request of a round is there whole and once, or not at all if it was not acknowledged. `spans` are so many
        of each of its traces."""
        found = Counter((span["trace_id"], span["span_id"]) for span in spans)
        assert set(found.values()) <= {1}, "a span is there twice"
        for request in self.senders.requests:
            if request.round == number:
                there = [one for one in request.spans if found.pop(one, 0)]
                if request.acknowledged or there:
                    assert len(there) == request.traces * of_a_trace, (request, len(there))
        assert not found, "there are spans that no one sent"

    def check_traces(self) -> None:
        """Each trace is there, and each span of it as it was sent."""
        requests = self.senders.requests
        with self.server.http() as http:
            telemetry = Telemetry(http)
            filled = telemetry.spans(
                where("round", "eq", round_text(FILLED)),
                where("n", "eq", self.random.randrange(SPANS_OF_A_TRACE)),
                returning=["n"],
            )
            self.check_round(filled, FILLED, 1)
            counts = {one["trace_id"]: one["span_count"] for one in telemetry.details(limit=-1)}
            assert counts == {
                trace_id: SPANS_OF_A_TRACE for request in requests for trace_id in request.trace_ids
            }
            resent = [request for request in requests if request.tries > 1]
            sampled = self.sample(requests, SAMPLE) + self.sample(resent, SAMPLE // 2)
            for request in sampled:
                sent = self.random.choice(request.plain)
                shown = telemetry.trace_spans(sent.trace_id)
                assert len(shown) == SPANS_OF_A_TRACE
                [found] = [span for span in shown if span["span_id"] == sent.span_id]
                assert found["attributes"] == sent.attributes and found["resource"] == sent.resource
                assert found.get("parent_span_id") == sent.parent_span_id

    def sample(self, requests: list[Request], size: int) -> list[Request]:
        """How many requests a run sends, and sends again, depends on the machine."""
        return self.random.sample(requests, min(size, len(requests)))

    def check_rows(self) -> None:
        """Chunks of them were moved, however often that was interrupted, and there are as many as were sent."""
        with duckdb.connect(str(self.server.data / "telemetry.duckdb"), read_only=True) as file:
            [(schema,)] = file.execute("SELECT schema_name FROM served").fetchall()
            files = {number for (number,) in file.execute(f"SELECT file FROM {schema}.runs").fetchall()}
            for number in files:
                path = self.server.data / "sealed" / f"{number}.duckdb"
                file.execute(f"ATTACH '{path}' AS sealed_{number} (READ_ONLY)")
            [(stored,)] = file.execute(f"SELECT count(*) FROM {schema}.spans_stored").fetchall()
            [(recent,)] = file.execute(f"SELECT count(*) FROM {schema}.spans_recent").fetchall()
        assert stored >= SPANS_BEFORE - SEALED
        assert stored + recent == sum(len(request.spans) for request in self.senders.requests)
        unnamed = {path.name for path in (self.server.data / "sealed").glob("*")}
        assert len(unnamed - {f"{number}.duckdb" for number in files}) <= 4, "merged files stay"
