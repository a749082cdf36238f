"""Runs the benchmarks: all of them, or those that are named. A name is that of a module without `bench_`."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from typing import cast

from benchmarks.report import Run, options, show
from benchmarks.result import Result

SUBJECTS = sorted(file.stem.removeprefix("bench_") for file in Path(__file__).parent.glob("bench_*.py"))


def main() -> int:
    """1 when a benchmark could not be run. A bar that is missed is a result, not a failure."""
    parser = options(__doc__)
    parser.prog = "python -m benchmarks"
    parser.add_argument("names", nargs="*", metavar="name", help=f"of: {', '.join(SUBJECTS)} (default: all)")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in SUBJECTS]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are: {', '.join(SUBJECTS)}")
    measured: dict[str, list[Result]] = {}
    failed = False
    for name in arguments.names or SUBJECTS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            run = cast("Run", importlib.import_module(f"benchmarks.bench_{name}").run)
            measured[name] = run(arguments.quick)
        except Exception:
            traceback.print_exc()
            failed = True
    show(measured, as_json=arguments.json, quick=arguments.quick)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
