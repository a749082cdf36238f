"""The main program of a process that serves one GGUF file with llama.cpp over HTTP, on loopback:

`python -m stack.providers.local.server FILE NAME THREADS SERVER`. It prints its port once it answers requests, and
ends with the server (process id SERVER).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

from stack.workers import limits


def main() -> None:
    file, name, threads, server = sys.argv[1:]
    limits.end_with(int(server), signal.SIGKILL)
    # Output of libraries must not be mixed with the port.
    target = os.dup(1)
    os.dup2(2, 1)
    stop = threading.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: stop.set())
    running = _serve(file, name, int(threads))
    os.write(target, running.listening_address.rsplit(":", 1)[1].encode() + b"\n")
    os.close(target)
    while not stop.wait(0.2):
        pass
    # The engine's threads need not be joined: nothing is kept.
    os._exit(0)


def _serve(file: str, name: str, threads: int) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = file
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


if __name__ == "__main__":
    main()
