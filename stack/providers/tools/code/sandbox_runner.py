"""Executes the code that it reads from its input. It runs in the sandbox, with the Python of the virtual environment.

Usage: sandbox_runner LIMITS, a JSON object: memory_bytes, cpu_s, file_bytes, open_files, images, and `report`, a
descriptor. It takes one byte when the code starts, and at the end the figures of matplotlib: for each its length (4
bytes) and a PNG.
"""

import ast
import io
import json
import linecache
import os
import resource
import struct
import sys
import traceback

CODE_NAME = "<code>"


def main() -> int:
    limits = json.loads(sys.argv[1])
    code = sys.stdin.buffer.read().decode()
    # What bubblewrap says is on the standard error that it got; both outputs of the code are one.
    os.dup2(1, 2)
    sys.stdout = open(1, "w", encoding="utf-8", errors="replace", buffering=1, closefd=False)  # noqa: SIM115
    for kind, value in (
        (resource.RLIMIT_AS, limits["memory_bytes"]),
        (resource.RLIMIT_FSIZE, limits["file_bytes"]),
        (resource.RLIMIT_NOFILE, limits["open_files"]),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (value, value))
    resource.setrlimit(resource.RLIMIT_CPU, (limits["cpu_s"], limits["cpu_s"] + 1))
    os.write(limits["report"], b"+")
    linecache.cache[CODE_NAME] = (len(code), None, code.splitlines(keepends=True), CODE_NAME)
    status = execute(code)
    sys.stdout.flush()
    if status == 0 and "matplotlib.pyplot" in sys.modules:
        report_figures(limits["report"], limits["images"])
    return status


def execute(code: str) -> int:
    names = {"__name__": "__main__", "__builtins__": __builtins__}
    try:
        tree = ast.parse(code, CODE_NAME)
        last = tree.body[-1] if tree.body else None
        if isinstance(last, ast.Expr):
            tree.body.pop()
        exec(compile(tree, CODE_NAME, "exec"), names)  # noqa: S102
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), CODE_NAME, "eval"), names)  # noqa: S307
            if value is not None:
                sys.stdout.write(value if isinstance(value, str) else repr(value))
    except SystemExit as end:
        if end.code is None or end.code == 0:
            return 0
        sys.stdout.write(f"SystemExit: {end.code}")
        return 1
    except BaseException as error:
        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_code.co_filename == main.__code__.co_filename:
            frames = frames.tb_next
        sys.stdout.write("".join(traceback.format_exception(type(error), error, frames)))
        return 1
    return 0


def report_figures(report: int, most: int) -> None:
    pyplot = sys.modules["matplotlib.pyplot"]
    with os.fdopen(report, "wb") as target:
        for number in pyplot.get_fignums()[:most]:
            image = io.BytesIO()
            pyplot.figure(number).savefig(image, format="png")
            target.write(struct.pack("<I", len(image.getvalue())) + image.getvalue())


if __name__ == "__main__":
    sys.exit(main())
