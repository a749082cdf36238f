"""A server whose event loop is watched from inside: `python -m benchmarks.probed_server FILE [options of serve]`.

A task of the server's own loop asks to be woken every 5 ms and notes how late it is. At the end FILE holds the
samples as JSON: a list of [moment of `time.monotonic()` in s, lag in ms]. libuv's timers count in whole
milliseconds, so an idle loop shows up to 1 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path

import msgspec

from stack.app import serve
from stack.config import load

INTERVAL_S = 0.005

Sample = tuple[float, float]


async def _watch(samples: list[Sample]) -> None:
    due = time.monotonic() + INTERVAL_S
    while True:
        await asyncio.sleep(due - time.monotonic())
        now = time.monotonic()
        samples.append((now, (now - due) * 1000))
        due = now + INTERVAL_S


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--port", type=int)
    parser.add_argument("--no-discover-models", dest="discover_models", action="store_false", default=None)
    flags = vars(parser.parse_args())
    file = flags.pop("file")
    samples: list[Sample] = []
    watches: list[asyncio.Task[None]] = []

    def announced(url: str) -> None:
        # Called in the server's loop once it listens; the task ends with the loop.
        watches.append(asyncio.get_running_loop().create_task(_watch(samples)))
        print(f"watching {url}", flush=True)

    serve(load(flags).settings, announced)
    file.write_bytes(msgspec.json.encode(samples))


if __name__ == "__main__":
    main()
