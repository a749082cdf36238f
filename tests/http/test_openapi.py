"""The description of the API equals the contract, fits what is served, is valid, and is shown without other hosts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from litestar import Router
from openapi_spec_validator import validate

from stack.app import CONTROLLERS
from stack.http.openapi import ASSETS, PAGE, asset
from stack.http.spec.document import OPERATIONS, as_json, as_yaml, document
from stack.http.static_file import takes_gzip
from tests.http.openapi_facts import operation_facts, schema_facts
from tests.server.process import Replaystack

CONTRACT: dict[str, dict[str, Any]] = {"operations": {}, "schemas": {}}
for part in sorted(Path(__file__).parent.glob("contract_*.json")):
    for kind, facts in json.loads(part.read_text()).items():
        CONTRACT[kind] |= facts
DOCUMENT = document()
METHODS = ("get", "post", "delete")


def as_meant(facts: Any) -> Any:
    """Facts of the contract with `anyOf` where it says `oneOf` of a string and some of its values: no named value
    would be valid otherwise."""
    if isinstance(facts, list):
        return [as_meant(one) for one in facts]
    if not isinstance(facts, dict):
        return facts
    facts = {key: as_meant(value) for key, value in facts.items()}
    branches = facts.get("oneOf", [])
    if "string" in branches and any(str(one).startswith("string; one of") for one in branches):
        facts["anyOf"] = facts.pop("oneOf")
    return facts


@pytest.mark.parametrize("name", CONTRACT["operations"])
def test_operation_equals_the_contract(name: str) -> None:
    method, path = name.split()
    ours = DOCUMENT["paths"][path][method.lower()]
    assert operation_facts(ours, DOCUMENT["components"]["responses"]) == CONTRACT["operations"][name]


@pytest.mark.parametrize("name", CONTRACT["schemas"])
def test_schema_equals_the_contract(name: str) -> None:
    assert schema_facts(DOCUMENT["components"]["schemas"][name]) == as_meant(CONTRACT["schemas"][name])


def test_the_facts_tell_documents_apart() -> None:
    config = DOCUMENT["components"]["schemas"]["AgentConfig"]
    assert schema_facts(config) != schema_facts(config | {"required": ["model"]})
    fewer = {name: one for name, one in config["properties"].items() if name != "tool_config"}
    assert schema_facts(config) != schema_facts(config | {"properties": fewer})
    with pytest.raises(AssertionError, match="minLength"):
        schema_facts({"type": "string", "minLength": 1})


# Of the server itself, of the page, and of another protocol.
UNDESCRIBED = re.compile(r"/(admin|schema|ui|mcp)(/|$)|/$")


def test_every_route_is_described_and_every_description_served() -> None:
    app = Router("/", route_handlers=CONTROLLERS)
    served = {
        (method.lower(), route.path_format)
        for route in app.routes
        for method in getattr(route, "methods", ())
        if method.lower() in METHODS and not UNDESCRIBED.match(route.path_format)
    }
    # One route serves a dataset and, after its id, its versions; each is served under /v1 too.
    described = {(one.method, re.sub("({dataset_id})/versions.*", r"\1", one.path)) for one in OPERATIONS}
    described |= {(method, re.sub(r"^/v1\w+/", "/v1/", path)) for method, path in described}
    # Some later clients leave out the version.
    root = "/v1/post-training/jobs/{job_uuid}/"
    described |= {(method, path.removeprefix("/v1")) for method, path in described if path.startswith(root)}
    assert served == described


@pytest.mark.slow
def test_it_is_valid_and_the_same_in_both_forms() -> None:
    validate(DOCUMENT)
    assert json.loads(as_json()) == DOCUMENT
    assert yaml.safe_load(as_yaml()) == DOCUMENT


def test_operation_ids_are_unique_and_every_operation_says_something() -> None:
    ids = [one.id for one in OPERATIONS]
    assert len(set(ids)) == len(ids)
    for one in OPERATIONS:
        assert one.summary.endswith(".") and one.says.endswith("."), one.id
    names = {tag["name"] for tag in DOCUMENT["tags"]}
    assert names == {one.tag for one in OPERATIONS}


def test_every_schema_is_used() -> None:
    used = set(re.findall(r'"#/components/schemas/(\w+)"', as_json().decode()))
    assert used == set(DOCUMENT["components"]["schemas"])


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        named = dict(attributes)
        for key in ("src", "href"):
            if named.get(key):
                self.loaded.append(str(named[key]))
        assert tag != "style" and "style" not in named, "the policy admits no styles in markup"
        assert tag != "script" or named.get("src"), "the policy admits no inline script"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with Replaystack(tmp_path_factory.mktemp("openapi") / "data") as server, server.http() as client:
        yield client


@pytest.mark.slow
def test_the_page_loads_from_this_server_only(client: httpx.Client) -> None:
    page = client.get("/schema").raise_for_status()
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self';" in policy and "http" not in policy
    links = _Links()
    links.feed(page.text)
    assert sorted(link for link in links.loaded if link.startswith("/schema/ui/")) == sorted(
        f"/schema/ui/{name}" for name in ASSETS
    )
    for link in links.loaded:
        assert link == "data:," or client.get(link).status_code == 200, link
    for name in ("page.html", "page.js", "page.css"):
        assert b"://" not in asset(name).body, name
    assert "validatorUrl: null" in asset("page.js").body.decode()
    style = asset("swagger-ui.css").body.decode()
    assert "@import" not in style
    assert all(target.lstrip("\"'").startswith("data:") for target in re.findall(r"url\(([^)]*)", style))


@pytest.mark.slow
@pytest.mark.parametrize("name", ASSETS)
@pytest.mark.parametrize("accepted", ["gzip", "identity", "gzip;q=0, *;q=0", "br, GZIP;q=0.5"])
def test_assets_have_their_type_with_and_without_gzip(client: httpx.Client, name: str, accepted: str) -> None:
    answer = client.get(f"/schema/ui/{name}", headers={"accept-encoding": accepted}).raise_for_status()
    kind = "javascript" if name.endswith(".js") else "css"
    assert answer.headers["content-type"] == f"text/{kind}; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    packed = bool(asset(name).packed) and takes_gzip(accepted)
    assert (answer.headers.get("content-encoding") == "gzip") is packed
    assert answer.content == asset(name).body


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nothing.js", PAGE, "LICENSE", "..%2fopenapi.py", "%2e%2e%2fopenapi.py"])
def test_nothing_else_is_handed_out(client: httpx.Client, name: str) -> None:
    assert client.get(f"/schema/ui/{name}").status_code == 404


@pytest.mark.slow
def test_the_document_is_served(client: httpx.Client) -> None:
    as_served = client.get("/schema/openapi.json").raise_for_status()
    assert as_served.headers["content-type"] == "application/json"
    assert as_served.json() == DOCUMENT
    text = client.get("/schema/openapi.yaml").raise_for_status()
    assert text.headers["content-type"] == "application/yaml"
    assert yaml.safe_load(text.text) == DOCUMENT


def test_the_vendored_files_come_with_their_licences_and_stay_small() -> None:
    folder = Path(__file__).parents[2] / "stack" / "http" / "ui"
    names = {path.name for path in folder.iterdir()}
    assert {"LICENSE", "NOTICE", "swagger-ui-bundle.js.LICENSE.txt"} <= names
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_000_000
