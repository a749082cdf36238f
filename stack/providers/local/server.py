"""The main program of a process that serves one model with llama.cpp over HTTP, on loopback:

`python -m stack.providers.local.server MODEL NAME THREADS CACHE DESCRIPTOR SERVER`. MODEL is a GGUF file, or a folder
that is converted to one in CACHE. It writes one JSON line to DESCRIPTOR: `{"port": 1234}` once it answers requests, or
`{"refused": "..."}`. It ends with the server (process id SERVER).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from stack.providers.training.model_folder import ModelRefused
from stack.workers import limits


def main() -> None:
    model, name, threads, cache, descriptor, server = sys.argv[1:]
    limits.end_with(int(server), signal.SIGKILL)
    target = os.dup(int(descriptor))
    # Output of libraries must not be mixed with the answer.
    os.dup2(2, 1)
    stop = threading.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: stop.set())
    try:
        running = _serve(_file(Path(model), Path(cache)), name, int(threads))
        said: dict[str, Any] = {"port": int(running.listening_address.rsplit(":", 1)[1])}
    except (ModelRefused, ModuleNotFoundError, OSError, RuntimeError) as error:
        said = {"refused": _reason(error)}
    os.write(target, json.dumps(said).encode() + b"\n")
    os.close(target)
    if "refused" in said:
        os._exit(1)
    # No one reads it from now on; a full pipe would stop the engine.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    os.dup2(2, 1)
    while not stop.wait(0.2):
        pass
    # The engine's threads need not be joined: nothing is kept.
    os._exit(0)


def _file(model: Path, cache: Path) -> Path:
    """Returns the GGUF file; a folder is converted again if its files have changed."""
    if not model.is_dir():
        return model
    from stack.providers.local.gguf_file import convert

    newest = max((path.stat().st_mtime_ns for path in model.iterdir()), default=0)
    target = cache / f"{newest}.gguf"
    if not target.exists():
        cache.mkdir(parents=True, exist_ok=True)
        for old in cache.glob("*.gguf"):
            old.unlink()
        convert(model, target)
    return target


def _serve(file: Path, name: str, threads: int) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(file)
    params.model_alias = {name}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    # The context of the model itself.
    params.n_ctx = 0
    params.n_parallel = 1
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.n_threads_http = 4
    params.use_jinja = True
    params.warmup = False
    params.verbosity = -1
    return xllamacpp.Server(params)


def _reason(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is missing; install replaystack[local]"
    return " ".join(str(error).split())[:1000] or type(error).__name__


if __name__ == "__main__":
    main()
