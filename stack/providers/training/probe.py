"""Says what a Python interpreter has for training: `PYTHON -P probe.py PACKAGE...`, with the standard library
only. It prints one JSON object on the standard output that it was started with; other output goes to standard error."""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
from typing import Any


def main() -> None:
    target = os.dup(1)
    os.dup2(2, 1)
    packages: dict[str, str] = {}
    missing: list[str] = []
    for name in sys.argv[1:]:
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    found = {
        "python": ".".join(map(str, sys.version_info[:3])),
        "packages": packages,
        "missing": missing,
        "accelerators": [] if "torch" in missing else _accelerators(),
    }
    os.write(target, json.dumps(found).encode() + b"\n")


def _accelerators() -> list[str]:
    """Returns the names of the devices that torch can use in addition to the CPU."""
    torch: Any = importlib.import_module("torch")
    if torch.cuda.is_available():
        return [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return []


if __name__ == "__main__":
    main()
