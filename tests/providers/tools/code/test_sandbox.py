"""Code in the sandbox: what it returns, what it sees, and that it ends with its server."""

from __future__ import annotations

import base64
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.cli.checks import Check, examine
from stack.providers.tools.code import bubblewrap, seccomp
from stack.providers.tools.code.interpreter import NO_OUTPUT
from stack.providers.tools.code.sandbox_engine import sandbox_problem
from stack.providers.tools.settings import ToolGroupSettings
from stack.settings import Settings
from tests.providers.tools.code.running import Running, running, text

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture(scope="module")
def code() -> Iterator[Running]:
    with running(engine="sandbox", python=sys.executable) as made:
        yield made


def test_returns_output_and_the_last_value(code: Running) -> None:
    assert code.run("import json, msgspec\nprint('a')\n[1, msgspec.json.encode({})]") == text("a\n[1, b'{}']")
    assert code.run("import sys\nprint('out')\nprint('err', file=sys.stderr)\nsys.exit(0)") == text(
        "out\nerr"
    )


def test_an_exception_has_a_traceback_of_the_code_only(code: Running) -> None:
    result = code.run("def f():\n    return 1 / 0\nf()")
    assert result.is_error
    assert "line 2, in f" in str(result.content)
    assert "return 1 / 0" in str(result.content)
    assert "sandbox_runner" not in str(result.content)
    assert '"<string>"' not in str(result.content)
    assert code.run("def").is_error


def test_figures_are_images(code: Running) -> None:
    """With a module in the place of matplotlib, which is not a dependency of the tests."""
    figure = f"class F:\n    def savefig(self, target, format): target.write({PNG!r})\n"
    module = "import sys, types\nm = types.ModuleType('p')\nm.get_fignums = lambda: [1, 2]\nm.figure = lambda n: F()\n"
    result = code.run(f"{figure}{module}sys.modules['matplotlib.pyplot'] = m\nprint('drawn')")
    assert isinstance(result.content, list)
    assert [item.type for item in result.content] == ["text", "image", "image"]
    assert result.content[1].image is not None
    assert base64.b64decode(result.content[1].image.data or "") == PNG


def test_images_that_are_none_are_left_out(code: Running) -> None:
    source = "import os\nfor n in range(3, 30):\n    try: os.write(n, b'\\x05\\0\\0\\0hello')\n    except OSError: pass"
    assert code.run(source) == text(NO_OUTPUT)


def test_the_check_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sandbox_problem(sys.executable) == ("", "")
    assert sandbox_problem("/nowhere/python")[0] == "There is no interpreter /nowhere/python."
    refusing = tmp_path / "bwrap"
    refusing.write_text(
        "#!/bin/sh\necho 'bwrap: Creating new namespace failed: Operation not permitted' >&2\nexit 1\n"
    )
    refusing.chmod(0o755)
    monkeypatch.setattr(bubblewrap, "program", lambda: str(refusing))
    reason, remedy = sandbox_problem(sys.executable)
    assert "Creating new namespace failed" in reason
    assert "needs unprivileged user namespaces" in remedy


def test_the_first_call_says_so_too() -> None:
    with running(engine="sandbox", python="/nowhere/python") as broken:
        result = broken.run("1")
    assert result.is_error
    assert str(result.content).startswith(
        "Error: There is no interpreter /nowhere/python. Make the environment"
    )


def test_doctor_says_so(tmp_path: Path) -> None:
    def found(python: str) -> Check:
        groups = [ToolGroupSettings(id="builtin::code_interpreter", engine="sandbox", python=python)]
        [check] = [one for one in examine(Settings(data=tmp_path, port=0, toolgroups=groups, discover_models=False))
                   if one.name == "builtin::code_interpreter"]  # fmt: skip
        return check

    assert found(sys.executable).state == "ok"
    broken = found("/nowhere/python")
    assert broken.state == "problem"
    assert "Make the environment" in broken.remedy


def test_a_machine_without_a_filter_is_refused() -> None:
    assert seccomp.program("riscv64") is None


def test_an_environment_below_tmp() -> None:
    """There a private folder takes the place of the system's."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        venv.create(f"{folder}/env", symlinks=True)
        assert sandbox_problem(f"{folder}/env/bin/python") == ("", "")


def test_a_link_in_the_home_of_a_user_does_not_show_all_of_it(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to(sys.executable)
    reason, remedy = sandbox_problem(str(tmp_path / "bin/python"))
    assert "is neither a virtual environment nor a Python installation" in reason
    assert "venv" in remedy


def test_the_prefixes_of_an_environment(tmp_path: Path) -> None:
    base = tmp_path / "base"
    (base / "bin").mkdir(parents=True)
    (base / "bin/python3").write_text("")
    environment = tmp_path / "env"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin/python").symlink_to(base / "bin/python3")
    (environment / "pyvenv.cfg").write_text(f"home = {base}/bin\nversion = 3.11\n")
    assert set(bubblewrap.prefixes(environment / "bin/python")) == {environment, base}
