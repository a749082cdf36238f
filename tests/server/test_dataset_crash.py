"""`kill -9` in the middle of appends and registrations: acknowledged rows are all there, once, and in one piece."""

from __future__ import annotations

import os
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from stack.eventstore.sqlite.verify import verify
from tests.server.datasets import Datasets
from tests.server.process import Replaystack

pytestmark = [pytest.mark.slow, pytest.mark.long]

KILLS = 30
LOAD_S = 0.25
SMALL, LARGE = 7, 1_500
"""Rows of an append: those of a small one are in its event, those of a large one in a blob."""


def test_acknowledged_rows_are_all_there_once(tmp_path: Path) -> None:
    seed = int(os.environ.get("REPLAYSTACK_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
    try:
        Folder(tmp_path / "data", seed).run()
    except BaseException as error:
        error.add_note(f"REPLAYSTACK_TEST_SEED={seed}")
        raise


class Sent:
    """One append or registration: a mark that its rows carry, how many they are, and whether it was acknowledged."""

    def __init__(self, dataset_id: str, size: int, key: str = "") -> None:
        self.dataset_id = dataset_id
        self.mark = uuid.uuid4().hex
        self.size = size
        self.key = key
        self.acknowledged = False

    @property
    def rows(self) -> list[dict[str, Any]]:
        filling = "x" * (90 if self.size == LARGE else 10)
        return [{"mark": self.mark, "row": row, "filling": filling} for row in range(self.size)]


class Folder:
    """A data folder through its kills, with clients that work until their server is gone."""

    def __init__(self, data: Path, seed: int) -> None:
        self.server = Replaystack(data)
        self.random = random.Random(seed)
        self.sent: list[Sent] = []
        self.unregistered: dict[str, bool] = {}
        self.unanswered: Sent | None = None
        self.surprises: list[str] = []

    def run(self) -> None:
        self.server.start()
        try:
            with self.server.http() as http:
                for name in ("small", "large", "keyed"):
                    Datasets(http).registered([], dataset_id=name)
            for _ in range(KILLS):
                threads = self.begin()
                time.sleep(self.random.uniform(0.0, LOAD_S))
                self.server.kill9()
                for thread in threads:
                    thread.join(30)
                assert not self.surprises, self.surprises
                self.server.start()
            self.check()
            self.server.check_healthy()
            assert self.server.stop() == 0
            report = verify(self.server.data)
            assert report.ok, report.problems
            self.server.start()
            self.check()
        finally:
            if self.server.running:
                self.server.kill9()

    def begin(self) -> list[threading.Thread]:
        work: list[Callable[[Datasets], None]] = [
            lambda datasets: self.append(datasets, Sent("small", SMALL)),
            lambda datasets: self.append(datasets, Sent("small", SMALL)),
            lambda datasets: self.append(datasets, Sent("large", LARGE)),
            self.append_keyed,
            self.come_and_go,
        ]
        threads = [threading.Thread(target=self.until_it_is_gone, args=(one,)) for one in work]
        for thread in threads:
            thread.start()
        return threads

    def until_it_is_gone(self, work: Callable[[Datasets], None]) -> None:
        with httpx.Client(base_url=self.server.url, trust_env=False, verify=False, timeout=20) as http:
            try:
                while True:
                    work(Datasets(http))
            except httpx.TransportError:
                return
            except Exception as surprise:
                self.surprises.append(repr(surprise))

    def append(self, datasets: Datasets, sent: Sent) -> None:
        self.sent.append(sent)
        answer = datasets.append(sent.dataset_id, sent.rows)
        assert answer.status_code == 200, answer.text
        sent.acknowledged = True

    def append_keyed(self, datasets: Datasets) -> None:
        """Sends again the requests that were not answered before the last kill."""
        sent = self.unanswered or Sent("keyed", SMALL, uuid.uuid4().hex)
        if self.unanswered is None:
            self.sent.append(sent)
        self.unanswered = sent
        answer = datasets.append("keyed", sent.rows, headers={"idempotency-key": sent.key})
        assert answer.status_code == 200, answer.text
        sent.acknowledged = True
        self.unanswered = None

    def come_and_go(self, datasets: Datasets) -> None:
        """Registers a dataset, and unregisters every other one."""
        sent = Sent(f"own/{uuid.uuid4()}", LARGE)
        self.sent.append(sent)
        assert datasets.register(sent.rows, dataset_id=sent.dataset_id).status_code == 200
        sent.acknowledged = True
        if self.random.random() < 0.5:
            self.unregistered[sent.dataset_id] = False
            assert datasets.unregister(sent.dataset_id).status_code == 200
            self.unregistered[sent.dataset_id] = True

    def check(self) -> None:
        with self.server.http() as http:
            datasets = Datasets(http)
            listed = datasets.listed()
            found = {dataset_id: datasets.rows(dataset_id) for dataset_id in listed}
        for dataset_id, was_acknowledged in self.unregistered.items():
            assert not (was_acknowledged and dataset_id in listed), "a dataset that was unregistered is back"
        for sent in self.sent:
            if sent.acknowledged and sent.dataset_id not in self.unregistered:
                assert sent.dataset_id in found, "a registered dataset is lost"
        for dataset_id, rows in found.items():
            self.check_rows(rows, [sent for sent in self.sent if sent.dataset_id == dataset_id])

    def check_rows(self, rows: list[dict[str, Any]], sent: list[Sent]) -> None:
        """All rows of what was acknowledged, all or none of the rest, and the rows of each behind each other."""
        counts = Counter(row["mark"] for row in rows)
        for one in sent:
            assert counts.pop(one.mark, 0) in ((one.size,) if one.acknowledged else (0, one.size))
        assert not counts, "rows are there that no one sent"
        for before, row in pairwise(rows):
            follows = row["mark"] == before["mark"] and row["row"] == before["row"] + 1
            assert follows or row["row"] == 0, "the rows of an append are not together"
