"""Providers over HTTP: one list for all APIs that are served."""

from __future__ import annotations

import httpx

from tests.server.api import check_error


def test_every_api_has_a_provider(client: httpx.Client) -> None:
    listed = client.get("/v1/providers").json()["data"]
    apis = {one["api"] for one in listed}
    assert apis == {"inference", "agents", "datasetio", "eval", "scoring", "telemetry"}
    assert listed[0]["api"] == "inference"
    for one in listed:
        assert one["health"]["status"] in ("OK", "Error")
        assert one["provider_type"].partition("::")[0] in ("inline", "remote")
    scoring = {one["provider_id"] for one in client.get("/v1/scoring-functions").json()["data"]}
    assert {one["provider_id"] for one in listed if one["api"] == "scoring"} == scoring


def test_each_is_found_by_its_id(client: httpx.Client) -> None:
    for one in client.get("/v1/providers").json()["data"]:
        shown = client.get(f"/v1/providers/{one['provider_id']}").json()
        assert shown["provider_id"] == one["provider_id"]
    check_error(client.get("/v1/providers/none"), 404, "Providers: ", "localfs")
