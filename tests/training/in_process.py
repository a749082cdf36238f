"""Runs several jobs in one process: `PYTHON in_process.py FOLDER QUESTIONS`.

FOLDER/*/job.json are the jobs, in the order of their names; the messages of each are written to messages.json next to
it. Then the questions about checkpoints, a JSON list of [function of `checkpoints`, arguments...], are
answered on standard output. One process imports torch once, which takes longer
than training a tiny model. It runs in the interpreter that has torch.
"""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def read_job(path: Path) -> Any:
    import msgspec

    from stack.providers.training.protocol import Job

    return msgspec.json.decode(path.read_bytes(), type=Job)


class Recorder:
    """Keeps the messages of a job."""

    def __init__(self) -> None:
        self.doing = ""
        self.stop_requested = False
        self.messages: list[Any] = []

    def write(self, message: Any) -> None:
        self.messages.append(message)


def train(path: Path) -> list[Any]:
    """Returns the messages of the job in a file."""
    from stack.providers.training.trainer.main import main

    recorder = Recorder()
    main(read_job(path), recorder)  # type: ignore[arg-type]
    return recorder.messages


def expose() -> None:
    """Makes the packages of the project importable, as `boot` does, without the other ones here."""
    sys.path.insert(0, str(ROOT / "stack/providers/training"))
    import boot

    for package in ("schemas", "stack"):
        boot._expose(package)
    sys.path.pop(0)


def run(folder: str, questions: str) -> None:
    import checkpoints
    import msgspec

    for path in sorted(Path(folder).glob("*/job.json")):
        messages: list[Any]
        try:
            messages = train(path)
        except Exception:
            messages = [{"type": "crashed", "detail": traceback.format_exc()}]
        path.with_name("messages.json").write_bytes(msgspec.json.encode(messages))
    found = [getattr(checkpoints, name)(*arguments) for name, *arguments in json.loads(questions)]
    print(json.dumps(found))


expose()
if __name__ == "__main__":
    run(*sys.argv[1:])
