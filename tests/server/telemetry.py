"""Telemetry as its senders and readers use it: OTLP in, the seven operations out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx

from tests.telemetry.otlp_requests import PlainSpan, trace_request

PROTOBUF = {"content-type": "application/x-protobuf"}


class Telemetry:
    """Calls on one server. What may fail comes back as the response."""

    def __init__(self, http: httpx.Client, prefix: str = "/v1alpha") -> None:
        self.http = http
        self.path = f"{prefix}/telemetry"

    def send(self, spans: Sequence[PlainSpan]) -> None:
        """Returns once they are acknowledged."""
        self.send_raw("traces", trace_request(spans))

    def send_raw(self, signal: str, request: bytes) -> None:
        answer = self.http.post(f"/v1/{signal}", content=request, headers=PROTOBUF)
        assert answer.status_code == 200, answer.text
        assert answer.content == b"", answer.content

    def post(self, path: str, body: Any = None, **more: Any) -> httpx.Response:
        return self.http.post(f"{self.path}/{path}", json=body, **more)

    def get(self, path: str) -> httpx.Response:
        return self.http.get(f"{self.path}/{path}")

    def traces(self, *filters: dict[str, Any], **body: Any) -> list[dict[str, Any]]:
        return self._data(self.post("traces", {"attribute_filters": list(filters)} | body))

    def details(self, *filters: dict[str, Any], **body: Any) -> list[dict[str, Any]]:
        return self._data(self.post("traces?details=true", {"attribute_filters": list(filters)} | body))

    def trace(self, trace_id: str) -> dict[str, Any]:
        answer = self.get(f"traces/{trace_id}")
        assert answer.status_code == 200, answer.text
        trace: dict[str, Any] = answer.json()
        return trace

    def span(self, span: PlainSpan) -> dict[str, Any]:
        answer = self.get(f"traces/{span.trace_id}/spans/{span.span_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def trace_spans(self, trace_id: str) -> list[dict[str, Any]]:
        return self._data(self.get(f"traces/{trace_id}/spans"))

    def tree(self, span: PlainSpan, **body: Any) -> dict[str, dict[str, Any]]:
        answer = self.post(f"spans/{span.span_id}/tree", body or None)
        assert answer.status_code == 200, answer.text
        tree: dict[str, dict[str, Any]] = answer.json()["data"]
        return tree

    def spans(
        self, *filters: dict[str, Any], returning: Sequence[str] = (), **body: Any
    ) -> list[dict[str, Any]]:
        asked = {"attribute_filters": list(filters), "attributes_to_return": list(returning)} | body
        return self._data(self.post("spans", asked))

    def logs(self, *filters: dict[str, Any], **body: Any) -> list[dict[str, Any]]:
        return self._data(self.post("logs", {"attribute_filters": list(filters)} | body))

    def metric(self, name: str, **asked: Any) -> list[dict[str, Any]]:
        return self._data(self.post(f"metrics/{name}", asked))

    def _data(self, answer: httpx.Response) -> list[dict[str, Any]]:
        assert answer.status_code == 200, answer.text
        data: list[dict[str, Any]] = answer.json()["data"]
        return data


def where(key: str, op: str, value: Any) -> dict[str, Any]:
    return {"key": key, "op": op, "value": value}
