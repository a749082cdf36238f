"""The worker's side of the protocol: messages to the server, signs of life, and its request to stop."""

from __future__ import annotations

import os
import signal
from threading import Event, Lock, Thread

import msgspec

from stack.providers.training.protocol import PROTOCOL, Alive, Job, Message, Ready


class Report:
    """Writes messages to a file descriptor. `doing` is shown to people while nothing else happens."""

    def __init__(self, descriptor: int) -> None:
        self.doing = ""
        self._descriptor = descriptor
        self._one_writer = Lock()
        self._stop = Event()
        self._encode = msgspec.json.Encoder().encode

    @property
    def stop_requested(self) -> bool:
        """Whether the job was cancelled: finish the step, write `Cancelled`, and exit."""
        return self._stop.is_set()

    def begin(self, description: bytes) -> Job:
        """Reads the job, says that this process runs, and from now on that it lives. Raises
        msgspec.ValidationError, also for a server of another release."""
        signal.signal(signal.SIGTERM, lambda *_: self._stop.set())
        job = msgspec.json.decode(description, type=Job)
        if job.protocol != PROTOCOL:
            raise msgspec.ValidationError(
                f"the job has protocol {job.protocol}; this worker speaks {PROTOCOL}"
            )
        self.write(Ready(pid=os.getpid()))
        Thread(target=self._live, args=(job.alive_s,), daemon=True, name="alive").start()
        return job

    def write(self, message: Message) -> None:
        """Sends one message. Ends the process if the server no longer listens. Raises ValueError for NaN and
        infinity, which are not JSON."""
        line = self._encode(message) + b"\n"
        if b":null" in line and any(value != value or value in _INFINITE for value in _floats(message)):
            raise ValueError(f"{type(message).__name__} holds a number that is not finite")
        with self._one_writer:
            left = memoryview(line)
            try:
                while left:
                    left = left[os.write(self._descriptor, left) :]
            except BrokenPipeError:
                os._exit(1)

    def _live(self, alive_s: float) -> None:
        forever = Event()
        while not forever.wait(alive_s):
            self.write(Alive(doing=self.doing))


_INFINITE = (float("inf"), float("-inf"))


def _floats(message: Message) -> list[float]:
    values = [getattr(message, name) for name in message.__struct_fields__]
    return [value for value in values if isinstance(value, float)]
