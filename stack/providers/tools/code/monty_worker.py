"""Executes code with the Monty interpreter, in a worker process (see `stack.workers.child`).

Monty runs in a process of its own, which this one starts, feeds and replaces. Its limits on time and memory end code
in order; the limits of the two processes end what these miss.
"""

from __future__ import annotations

import base64
import os
import re
import resource
import signal
import threading
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pydantic_monty as monty
from msgspec import Struct

from stack.providers.tools.code.task import Call, Function, Outcome, Reply, Task
from stack.providers.tools.code.values import arguments, check_json, cut, cut_middle, shown
from stack.workers.limits import grant_cpu

OWN_CPU_S = 10
"""CPU time in seconds, in addition to that of the code, in which values are converted and snapshots are taken."""
NATIVE_GRACE_S = 5
"""How much longer than its limit Monty may run before it is killed, because it does not check the limit in
native code."""
TRACEBACK_CHARS = 10_000
_MESSAGE_CHARS = 200
MAX_LOOKUPS = 2_000
"""Limit of names that are looked up and calls that are refused without a suspension."""

_ASYNC = re.compile(r"\b(?:await|async)\b")
_AWAITED = re.compile(r"\bawait[ \t(]*\Z")
# Without strings with a prefix f, which contain code.
_NOT_CODE = re.compile(
    r"""#[^\n]*|(?<![fF])(?:'{3}.*?(?:'{3}|\Z)|"{3}.*?(?:"{3}|\Z)|'(?:\\.|[^'\\\n])*'?|"(?:\\.|[^"\\\n])*"?)""",
    re.DOTALL,
)

Snapshot = monty.FunctionSnapshot | monty.NameLookupSnapshot | monty.FutureSnapshot | monty.MontyComplete


class State(Struct, array_like=True):
    """An execution that waits for calls. `snapshot` was taken by this `version` of Monty. `output` was printed so far,
    `spent_s` is the time used. `waiting` are Monty's numbers of the calls; with `is_single` the code waits
    for its one call as for a function, otherwise as for coroutines. `called` names the tools of all calls."""

    version: str
    snapshot: bytes
    output: str
    spent_s: float
    waiting: list[int]
    is_single: bool
    called: list[str]


class Stopped(Exception):
    """The execution ends with this message for the model."""


_task_of = msgspec.msgpack.Decoder(Task).decode
_state_of = msgspec.msgpack.Decoder(State).decode
_encode = msgspec.msgpack.Encoder().encode


def answer(task: bytes) -> bytes:
    """Returns the reply to a task; both are encoded."""
    _end_together()
    wanted = _task_of(task)
    grant_cpu(int(wanted.limits.time_s) + OWN_CPU_S)
    return _encode(Execution(wanted).reply())


@cache
def _end_together() -> None:
    """Ends the interpreter with this process when the server ends (SIGTERM), also while code is executed: a handler
    would have to wait for it, a thread does not."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def wait() -> None:
        signal.sigwait({signal.SIGTERM})
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


@cache
def _pool() -> monty.Monty:
    return monty.Monty(max_processes=1).__enter__()


class Execution:
    def __init__(self, task: Task) -> None:
        self._code = task.code
        self._functions = task.functions
        self._limits = task.limits
        self._outcomes = task.outcomes
        self._state = _state(task.state) if task.state is not None else None
        self._output = _Output(self._limits.output_chars)
        self._spent_s = 0.0
        self._called: list[str] = []
        self._pending: dict[int, Call] = {}
        self._is_async = bool(_ASYNC.search(_NOT_CODE.sub("''", task.code)))
        self._began_s = time.monotonic()

    def reply(self) -> Reply:
        try:
            if self._state is not None:
                self._restore(self._state)
            return self._run()
        except Stopped as why:
            return self._failed(str(why))
        except monty.MontyCrashedError as error:
            return self._failed(self._crash(error))
        except (monty.MontyRuntimeError, monty.MontySyntaxError) as error:
            return self._failed(self._problem(error))
        except monty.MontyError as error:
            return self._failed(f"Error: {cut(str(error), self._limits.output_chars)}")

    def _restore(self, state: State) -> None:
        self._spent_s = state.spent_s
        self._called = state.called
        self._output.text = state.output
        if state.version != monty.__version__:
            done = ", ".join(dict.fromkeys(state.called))
            raise Stopped(
                f"Error: the server was upgraded while the code waited for a tool (from version {state.version} of the "
                f"interpreter to {monty.__version__}), and cannot continue it. Its calls were made: {done}. "
                "Execute code for the rest only."
            )

    def _run(self) -> Reply:
        limits = monty.ResourceLimits(
            max_memory=self._limits.memory_bytes,
            max_feed_duration_secs=max(self._limits.time_s - self._spent_s, 0.001),
            max_suspensions=MAX_LOOKUPS,
        )
        with _pool().checkout(limits=limits, os_policy={"sleep": "zero"}) as session:
            self._output.process = session.worker_pid
            _grant(session.worker_pid, self._limits.time_s + NATIVE_GRACE_S)
            snapshot = self._begun(session)
            while not isinstance(snapshot, monty.MontyComplete):
                following = self._next(snapshot)
                if isinstance(following, Reply):
                    return following
                snapshot = following
            return self._ended(snapshot)

    def _begun(self, session: monty.MontySession) -> Snapshot:
        state = self._state
        if state is None:
            return session.feed_start(self._code, print_callback=self._output)
        snapshot = session.load_snapshot(state.snapshot, print_callback=self._output)
        results = [_result(one) for one in self._outcomes]
        if state.is_single:
            assert isinstance(snapshot, monty.FunctionSnapshot)
            return snapshot.resume(results[0])
        assert isinstance(snapshot, monty.FutureSnapshot)
        return snapshot.resume(dict(zip(state.waiting, results, strict=True)))

    def _next(self, snapshot: Snapshot) -> Snapshot | Reply:
        """Answers a snapshot. Returns the reply if the code has to wait for calls."""
        if isinstance(snapshot, monty.FutureSnapshot):
            calls = {one: self._pending[one] for one in self._pending if one in snapshot.pending_call_ids}
            return self._suspended(snapshot, calls, is_single=False)
        if isinstance(snapshot, monty.NameLookupSnapshot):
            name = snapshot.variable_name
            return snapshot.resume(value=_named(name)) if name in self._functions else snapshot.resume()
        assert isinstance(snapshot, monty.FunctionSnapshot)
        if snapshot.is_os_function:
            return snapshot.resume_not_handled()
        name = snapshot.function_name
        function = self._functions.get(name)
        if function is None:
            return snapshot.resume({"exc_type": "NameError", "message": f"name {name!r} is not defined"})
        try:
            call = self._call(name, function, snapshot)
        except TypeError as error:
            return snapshot.resume({"exc_type": "TypeError", "message": str(error)})
        except ValueError as error:
            return snapshot.resume({"exc_type": "ValueError", "message": str(error)})
        if self._is_async or self._is_awaited(snapshot):
            self._pending[snapshot.call_id] = call
            return snapshot.resume({"future": ...})
        return self._suspended(snapshot, {snapshot.call_id: call}, is_single=True)

    def _call(self, name: str, function: Function, snapshot: monty.FunctionSnapshot) -> Call:
        given = arguments(name, snapshot.args, snapshot.kwargs, function.parameters)
        check_json(given, self._limits.depth, name)
        return Call(function.tool, given)

    def _is_awaited(self, snapshot: monty.FunctionSnapshot) -> bool:
        """Returns whether `await` precedes the call: it may be hidden in an f-string."""
        before = self._code.encode()[: snapshot.position.start].decode("utf-8", "ignore")
        return bool(_AWAITED.search(before[-100:]))

    def _suspended(
        self,
        snapshot: monty.FunctionSnapshot | monty.FutureSnapshot,
        calls: Mapping[int, Call],
        *,
        is_single: bool,
    ) -> Reply:
        self._called += [one.tool for one in calls.values()]
        if len(self._called) > self._limits.calls:
            raise Stopped(
                f"Error: the code makes more than {self._limits.calls} calls of tools, the limit of one run."
            )
        if len(msgspec.json.encode([one.arguments for one in calls.values()])) > self._limits.arguments_bytes:
            raise Stopped(
                f"Error: the arguments of a call have more than {self._limits.arguments_bytes:,} bytes, which is the limit."
            )
        state = State(
            version=monty.__version__,
            snapshot=snapshot.dump(),
            output=self._output.text,
            spent_s=self._spent_s + time.monotonic() - self._began_s,
            waiting=list(calls),
            is_single=is_single,
            called=self._called,
        )
        encoded = _encode(state)
        if len(encoded) > self._limits.state_bytes:
            raise Stopped(
                f"Error: the variables of the code take {len(encoded):,} bytes when it calls a tool; "
                f"{self._limits.state_bytes:,} is the limit. Keep only what is needed after the call."
            )
        return Reply(state=base64.b64encode(encoded).decode(), calls=list(calls.values()))

    def _ended(self, snapshot: monty.MontyComplete) -> Reply:
        parts = [self._output.text] if self._output.text else []
        value = snapshot.output
        if value is not None:
            parts.append(shown(value, self._limits.output_chars))
        if self._pending and (unmade := sorted({one.tool for one in self._pending.values()})):
            parts.append(f"[Not called, because the code did not await the call: {', '.join(unmade)}.]")
        return Reply(text="\n".join(part.removesuffix("\n") for part in parts))

    def _failed(self, problem: str) -> Reply:
        parts = [self._output.text.removesuffix("\n"), problem]
        return Reply(text="\n".join(part for part in parts if part), is_error=True)

    def _crash(self, error: monty.MontyCrashedError) -> str:
        if self._output.is_full:
            return self._too_much_output()
        if error.timed_out or "SIGXCPU" in str(error):
            return self._too_long()
        return f"Error: the interpreter ended unexpectedly ({cut(str(error), 200)})."

    def _problem(self, error: monty.MontyRuntimeError | monty.MontySyntaxError) -> str:
        """Returns the traceback; for a limit, its name and value."""
        text = error.display()
        if self._output.is_full:
            return self._too_much_output()
        if "time limit exceeded" in text[:_MESSAGE_CHARS]:
            return self._too_long()
        shortened = cut_middle(text, TRACEBACK_CHARS)
        if "memory limit" in text[-_MESSAGE_CHARS:]:
            return f"{shortened}\nThe limit on memory is {self._limits.memory_bytes >> 20} MiB."
        return shortened

    def _too_much_output(self) -> str:
        return (
            f"Error: the code prints more than {self._limits.output_chars:,} characters, which is the limit."
        )

    def _too_long(self) -> str:
        return f"Error: the code takes more than {self._limits.time_s:g} s of computing time, which is the limit."


class _Output:
    """Collects printed text up to a limit. `process` is then killed, because it would continue until the limit on
    time."""

    process: int | None = None

    def __init__(self, limit: int) -> None:
        self.text = ""
        self.is_full = False
        self._limit = limit

    def __call__(self, stream: str, text: str) -> None:
        left = self._limit - len(self.text)
        self.text += text[:left]
        if len(text) > left:
            self.is_full = True
            if self.process is not None:
                os.kill(self.process, signal.SIGKILL)
            raise Stopped(stream)


def _state(text: str) -> State:
    return _state_of(base64.b64decode(text))


def _result(outcome: Outcome) -> Any:
    if outcome.error is not None:
        return {"exc_type": "RuntimeError", "message": outcome.error}
    return {"return_value": outcome.value}


def _named(name: str) -> Callable[[], None]:
    """Returns a function, of which Monty takes the name only."""

    def function() -> None: ...

    function.__name__ = name
    return function


def _grant(process: int | None, cpu_s: float) -> None:
    """Gives a process this much CPU time from now on, in seconds: it ends by itself even if this process is killed."""
    if process is None or not hasattr(resource, "prlimit"):
        return
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    used_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    _, hard = resource.prlimit(process, resource.RLIMIT_CPU)
    resource.prlimit(process, resource.RLIMIT_CPU, (int(used_s + cpu_s) + 1, hard))
