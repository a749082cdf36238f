"""The main program of a training worker, in an interpreter that has none of the server's packages.

`PYTHON -P boot.py MODULE JOB_FILE DESCRIPTOR SERVER`: see `protocol`. It runs by its path, so that it can make
the packages of this project importable without the folder in which the server's packages are installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def main() -> None:
    module, job_file, descriptor, server = sys.argv[1:]
    for package in ("schemas", "stack"):
        _expose(package)
    from stack.providers.training.report import Report
    from stack.workers import limits

    limits.end_with(int(server), signal.SIGKILL)
    # Output of libraries must not be lost, nor mixed with messages.
    os.dup2(2, 1)
    report = Report(int(descriptor))
    job = report.begin(Path(job_file).read_bytes())
    importlib.import_module(module).main(job, report)


def _expose(package: str) -> None:
    """Makes a package of this project importable."""
    folder = ROOT / package
    spec = importlib.util.spec_from_file_location(
        package, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    made = sys.modules[package] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)


if __name__ == "__main__":
    main()
