"""Everything that a user can set or call is documented; tracked files are suitable for publication."""

from __future__ import annotations

import re
import subprocess
import tomllib

import pytest

from stack.cli import COMMANDS
from stack.config import SETTINGS
from stack.version import VERSION
from tests.architecture.sources import ROOT

README = (ROOT / "README.md").read_text()
SETTINGS_PAGE = (ROOT / "docs/settings.md").read_text()
COMMANDS_PAGE = (ROOT / "docs/commands.md").read_text()
LONGEST_README = 200


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().strip("|").replace(r"\|", "/").split("|")]


def table_row(first: str) -> list[str]:
    """The cells of the table row whose first cell is `first` in code style."""
    rows = [cells(line) for line in SETTINGS_PAGE.splitlines() if line.startswith(f"| `{first}` |")]
    assert len(rows) == 1, f"docs/settings.md has {len(rows)} table rows for `{first}`"
    return rows[0]


def default_of(name: str) -> str:
    default = SETTINGS[name].default
    if default in ("", []):
        return ""
    return f"`{str(default).lower()}`" if isinstance(default, bool) else f"`{default}`"


@pytest.mark.parametrize("name", SETTINGS)
def test_each_setting_is_documented(name: str) -> None:
    setting = SETTINGS[name]
    variable = setting.variables[-1]
    assert table_row(name) == [f"`{name}`", default_of(name), f"`{variable}`", setting.description]


def test_no_setting_is_documented_that_does_not_exist() -> None:
    pages = [README, *(page.read_text() for page in (ROOT / "docs").rglob("*.md"))]
    variables = {name for page in pages for name in re.findall(r"REPLAYSTACK_[A-Z_]+[A-Z]", page)}
    known = {variable for setting in SETTINGS.values() for variable in setting.variables}
    assert variables <= known | {"REPLAYSTACK_CONFIG"}


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_documented(name: str) -> None:
    row = next((line for line in COMMANDS_PAGE.splitlines() if line.startswith(f"| `replaystack {name}")), "")
    assert cells(row)[1:] == [COMMANDS[name]], f"docs/commands.md has no row for `replaystack {name}`"


def test_the_readme_gives_one_command_to_see_it_and_one_to_test_it() -> None:
    assert "pip install uv && uv run replaystack demo" in README
    assert "pip install uv && uv run pytest" in README
    assert re.search(r"^uv run pytest$", (ROOT / ".ci/run").read_text(), re.MULTILINE)


def test_the_changelog_tells_of_this_version() -> None:
    assert f"## {VERSION}" in (ROOT / "CHANGELOG.md").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION


def tracked_files() -> list[str]:
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no git checkout")
    return [name for name in listed.stdout.split("\0") if name]


def test_no_lock_file_and_no_package_index_is_tracked() -> None:
    # Which index packages come from is the machine's business, not the project's.
    hosts = re.compile(
        "|".join(("pypi" + r"\.org", "python" + r"hosted\.org", "index" + "-url", "index" + "_url"))
    )
    for name in tracked_files():
        assert not name.endswith("uv.lock"), name
        path = ROOT / name
        if path.is_file() and path.suffix in (
            ".py",
            ".toml",
            ".md",
            ".txt",
            ".cfg",
            ".yml",
            ".yaml",
            ".sh",
            "",
        ):
            found = hosts.search(path.read_text(errors="replace"))
            assert found is None, f"{name} names {found and found.group()}"


def test_the_readme_is_short() -> None:
    assert README.count("\n") <= LONGEST_README


def test_links_between_documents_lead_somewhere() -> None:
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
