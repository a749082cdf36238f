"""Reranking of 100 documents of 200 words by the embedded model, over HTTP, one client."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.client import Connection
from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds
from benchmarks.servers import replaystack
from benchmarks.texts import Texts

DOCUMENTS = 100
WORDS = 200
BAR_MS = 15.0
PATH = "/v1alpha/inference/rerank"


def run(quick: bool) -> list[Result]:
    """Medians of the time from request to last byte, on one kept connection."""
    rounds, requests = (3, 20) if quick else (9, 60)
    texts = Texts()
    items = [texts.text(WORDS) for _ in range(DOCUMENTS)]
    with (
        tempfile.TemporaryDirectory() as folder,
        replaystack(Path(folder) / "data") as server,
        Connection(server.port) as connection,
    ):

        def took_ms(number: int) -> float:
            place = number * 37 % DOCUMENTS
            body = {"model": "bm25", "query": texts.query(items[place]), "items": items}
            answer = connection.post(PATH, body)
            first = msgspec.json.decode(answer.body)["data"][0]["index"]
            if first != place:
                raise RuntimeError(f"the words of document {place} found document {first}")
            return answer.took_ms

        for number in range(10):
            took_ms(number)
        before_s = server.cpu_s()
        medians = [median(took_ms(number) for number in range(requests)) for _ in range(rounds)]
        cpu_ms = (server.cpu_s() - before_s) * 1000 / (rounds * requests)
    name = f"{DOCUMENTS} documents of {WORDS} words reranked with bm25, p50"
    return [
        of_rounds(name, medians, "ms", BAR_MS),
        Result("the same: processor time of the server", cpu_ms, "ms"),
    ]


if __name__ == "__main__":
    standalone(run, "rerank", __doc__)
