"""Datasets as their callers use them."""

from __future__ import annotations

import json
from typing import Any

import httpx

PURPOSE = "eval/question-answer"


class Datasets:
    """Calls on one server. What may fail comes back as the response."""

    def __init__(self, http: httpx.Client, prefix: str = "/v1beta") -> None:
        self.http = http
        self.prefix = prefix

    def register(self, rows: list[Any] | None = None, uri: str = "", **more: Any) -> httpx.Response:
        source = {"type": "uri", "uri": uri} if uri else {"type": "rows", "rows": rows or []}
        body = {"purpose": PURPOSE, "source": source} | more
        return self.http.post(f"{self.prefix}/datasets", json=body)

    def registered(self, rows: list[Any] | None = None, uri: str = "", **more: Any) -> str:
        """The id of a new dataset."""
        answer = self.register(rows, uri, **more)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["identifier"])

    def append(
        self, dataset_id: str, rows: list[Any], headers: dict[str, str] | None = None
    ) -> httpx.Response:
        path = f"{self.prefix}/datasetio/append-rows/{dataset_id}"
        return self.http.post(path, json={"rows": rows}, headers=headers)

    def page(self, dataset_id: str, **query: Any) -> httpx.Response:
        return self.http.get(f"{self.prefix}/datasetio/iterrows/{dataset_id}", params=query)

    def rows(self, dataset_id: str, start_index: int = 0, **query: Any) -> list[Any]:
        """All rows from `start_index`: a page ends early at the limit on its bytes."""
        rows: list[Any] = []
        while True:
            answer = self.page(dataset_id, start_index=start_index + len(rows), **query)
            assert answer.status_code == 200, answer.text
            rows += answer.json()["data"]
            if "limit" in query or not answer.json()["has_more"]:
                return rows

    def show(self, dataset_id: str) -> httpx.Response:
        return self.http.get(f"{self.prefix}/datasets/{dataset_id}")

    def listed(self) -> dict[str, dict[str, Any]]:
        """All datasets by id, in order."""
        answer = self.http.get(f"{self.prefix}/datasets")
        assert answer.status_code == 200, answer.text
        return {one["identifier"]: one for one in answer.json()["data"]}

    def versions(self, dataset_id: str, **query: Any) -> list[dict[str, Any]]:
        answer = self.http.get(f"{self.prefix}/datasets/{dataset_id}/versions", params=query)
        assert answer.status_code == 200, answer.text
        versions: list[dict[str, Any]] = answer.json()["data"]
        return versions

    def diff(self, dataset_id: str, **query: Any) -> httpx.Response:
        return self.http.get(f"{self.prefix}/datasets/{dataset_id}/versions/diff", params=query)

    def unregister(self, dataset_id: str) -> httpx.Response:
        return self.http.delete(f"{self.prefix}/datasets/{dataset_id}")


def numbered(first: int, count: int, size: int = 0) -> list[dict[str, Any]]:
    return [
        {"number": number} | ({"text": "x" * size} if size else {}) for number in range(first, first + count)
    ]


def raw_rows(text: str) -> str:
    """The body that registers the rows of a JSON text as they are written."""
    return json.dumps({"purpose": PURPOSE, "source": {"type": "rows", "rows": "?"}}).replace('"?"', text)
