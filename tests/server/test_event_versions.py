"""A second version of an event, made as CONTRIBUTING.md says: what was recorded before is served as before."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from schemas.events import REGISTRY
from tests.histories.story import answers, is_served_as
from tests.server.api import Api
from tests.server.datasets import Datasets
from tests.server.evals import Evals, asked, model
from tests.server.process import ROOT, Replaystack
from tests.servers.processes import RunningServer

pytestmark = pytest.mark.slow

PACKAGES = ("schemas", "projections", "telemetry", "stack")
HISTORY = ROOT / "tests/histories/0.1.0.zip"


def first_events() -> list[str]:
    """The stored name of the first event of each category."""
    categories: dict[str, str] = {}
    for name in REGISTRY:
        categories.setdefault(name.partition(".")[0], name)
    return list(categories.values())


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources with a version 2 of the first event of each category, which has one more field."""
    root = tmp_path_factory.mktemp("newer")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    upcasts = []
    for name in first_events():
        category = name.partition(".")[0]
        base, _, version = name.rpartition(".")
        newest = f"{base}.{int(version) + 1}"
        file = root / f"schemas/events/{category}.py"
        text = file.read_text()
        definition = re.compile(rf'tag="{re.escape(name)}"(.*?)(?=\n\n\n)', re.DOTALL)
        changed, count = definition.subn(rf'tag="{newest}"\1\n    note: str = ""', text)
        assert count == 1, f"{file} has no definition of {name} that this test can read"
        file.write_text(changed)
        upcasts.append(f'UPCASTS["{name}"] = ("{newest}", lambda payload: {{**payload, "note": "lifted"}})\n')
    with (root / "schemas/upcasts/__init__.py").open("a") as file_:
        file_.writelines(upcasts)
    return root


def test_a_second_version_of_first_events_changes_nothing_that_is_served(
    newer: Path, tmp_path: Path, scripted_server: RunningServer
) -> None:
    with zipfile.ZipFile(HISTORY) as packed:
        packed.extractall(tmp_path)
    said: dict[str, Any] = json.loads((tmp_path / "answers.json").read_text(encoding="utf-8"))
    server = Replaystack(
        tmp_path / "data",
        model_url=scripted_server.base_url,
        settings={"telemetry_retention_days": 36_500},
        environment={"PYTHONPATH": str(newer)},
        quick=False,
    )
    with server, server.http() as http:
        now = answers(http)
        assert [
            path for path in said.keys() | now.keys() if not is_served_as(said.get(path), now.get(path))
        ] == []
        turn = Api(http).conversation().turn()
        assert turn["output_message"]["content"] == "The answer comes"
        rows = [{"n": 1}]
        assert Datasets(http).rows(Datasets(http).registered(rows)) == rows
        benchmark = Evals(http).registered(asked(2))
        assert benchmark.status(benchmark.job(model())) == "completed"
        server.check_healthy()
