"""Child processes of the read side's tests: one that tries to open a folder, one that writes until it is killed.

Run as `python -m tests.projections.processes <name> <folder>`.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from projections.read_models import current_plan
from projections.warehouse.engine import Engine
from projections.warehouse.errors import FileInUse
from projections.warehouse.instance import Warehouse
from tests.projections import histories as h
from tests.projections.feeds import FileFeed

ROOT = Path(__file__).parents[2]


@contextmanager
def child(name: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The process, killed at the end of the block if it has not ended."""
    command = [sys.executable, "-m", "tests.projections.processes", name, str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def try_to_open(folder: Path) -> None:
    try:
        Warehouse.open(folder).close()
        print("opened")
    except FileInUse as error:
        print(type(error).__name__)


def write_until_killed(folder: Path) -> None:
    """Writes conversations into the log, deletes some and rebuilds now and then; says when it has begun."""
    feed = FileFeed(folder / "log.sqlite")
    warehouse = Warehouse.open(folder)
    engine = Engine(warehouse, feed, current_plan(), batch_serving=200)
    engine.start()
    print("begun", flush=True)
    rng = random.Random()
    for _ in range(100_000):
        name = f"{feed.head():09d}"
        position = feed.append(
            h.agent_created(f"a{name}"),
            h.session_created(f"s{name}", f"a{name}"),
            *h.whole_turn(f"t{name}", f"s{name}", f"a{name}", rng.randrange(3)),
        )
        chance = rng.random()
        if chance < 0.1:
            position = feed.append(h.session_deleted(f"s{name}"), h.agent_deleted(f"a{name}"))
        elif chance < 0.12:
            engine.rebuild()
        elif chance < 0.5:
            engine.reached_blocking(position, 30)


if __name__ == "__main__":
    {"try_to_open": try_to_open, "write_until_killed": write_until_killed}[sys.argv[1]](Path(sys.argv[2]))
