"""The built page is that of its sources, and what is served of it is served safely."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import httpx
import pytest

from tests.page.wire_types import FILE, wire_types

PAGE = Path(__file__).parents[2] / "stack/page"
BUDGET = 70_000
"""Bytes of `main.js` with gzip."""


def test_it_was_built_from_these_sources() -> None:
    sources = [path for path in (PAGE / "src").rglob("*") if path.is_file()]
    sources += [PAGE / name for name in ("build.mjs", "package-lock.json", "tsconfig.json")]
    named = sorted(path.relative_to(PAGE).as_posix() for path in sources)
    digest = hashlib.sha256()
    for name in named:
        # Types do not change what is built.
        if not name.endswith(".test.ts") and name != "src/wire.ts":
            digest.update(f"{name}\n".encode() + (PAGE / name).read_bytes() + b"\n")
    built = (PAGE / "built/sources.sha256").read_text().strip()
    assert digest.hexdigest() == built, "build it again: npm ci && npm run build in stack/page"


def test_its_types_are_those_of_the_api() -> None:
    assert FILE.read_text("utf-8") == wire_types(), "write them again: python -m tests.page.wire_types"


def test_the_lock_names_no_registry() -> None:
    lock = json.loads((PAGE / "package-lock.json").read_text())
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]
    packages = json.loads((PAGE / "package.json").read_text())["dependencies"]
    assert all(version[0].isdigit() for version in packages.values()), "exact versions"


def test_it_is_small() -> None:
    assert len(gzip.compress((PAGE / "built/main.js").read_bytes())) <= BUDGET


def test_a_browser_is_led_to_it(client: httpx.Client) -> None:
    answer = client.get("/", headers={"accept": "text/html,application/xhtml+xml"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/")
    answer = client.get("/")
    assert answer.status_code == 404 and "/ui/" in answer.json()["detail"]


@pytest.mark.parametrize(
    "path", ["/ui", "/ui/", "/ui/sessions/x?at=1.2.0", "/ui/a/b/../c?q=1&q=2", "/ui/nothing.js"]
)
def test_each_address_shows_the_document(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200 and answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "trusted-types 'none'" in policy and "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "http:" not in answer.text and "https:" not in answer.text, "nothing comes from elsewhere"


@pytest.mark.parametrize("name", ["main.js", "style.css"])
def test_files_are_served_packed_and_once(client: httpx.Client, name: str) -> None:
    answer = client.get(f"/ui/{name}")
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.content == (PAGE / "built" / name).read_bytes()
    plain = client.get(f"/ui/{name}", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers and plain.content == answer.content
    again = client.get(f"/ui/{name}", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
