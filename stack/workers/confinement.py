"""Confines a worker process, before it runs text of a caller, to memory, time and its open files.

`restrict_files` (Landlock) binds the calling thread and the threads that it starts later, so it comes before
libraries with threads start theirs. `allow_computing_only` (seccomp) binds all threads: from then on no file,
socket, process or signal to another process can be had. Both are final. They use system calls through ctypes:
three calls and a filter of forty instructions are less than a dependency.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_RULE_FOR_PATH = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_SET_NO_NEW_PRIVS = 38
_SET_MODE_FILTER, _FILTER_ALL_THREADS = 1, 1

# Rights to files and, from version 4 on, TCP ports; from 6 on, abstract sockets and signals.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_NETWORK_RIGHTS, _SCOPES = 3, 3

# --- seccomp: numbers of Linux's tables, for x86_64 and aarch64 ------------------------------------------
_MACHINES = {"x86_64": (0, 0xC000003E, 317), "aarch64": (1, 0xC00000B7, 277)}
"""The column in `_COMPUTING`, the number of the architecture, and that of `seccomp` itself."""
_COMPUTING: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63),
    "write": (1, 64),
    "readv": (19, 65),
    "writev": (20, 66),
    "pread64": (17, 67),
    "preadv": (295, 69),
    "close": (3, 57),
    "fstat": (5, 80),
    "newfstatat": (262, 79),
    "lseek": (8, 62),
    "fcntl": (72, 25),
    "poll": (7, None),
    "ppoll": (271, 73),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "brk": (12, 214),
    "futex": (202, 98),
    "membarrier": (324, 283),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "times": (100, 153),
    "getrusage": (98, 165),
    "sysinfo": (99, 179),
    "uname": (63, 160),
    "getrandom": (318, 278),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "gettid": (186, 178),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getcpu": (309, 168),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
_CLONE = (56, 220)
_CLONE3 = (435, 435)
_TGKILL = (234, 131)
_PRLIMIT64 = (302, 261)
_THREAD_FLAG = 0x00010000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_FOREIGN_TABLE = 0x40000000


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def landlock_version() -> int:
    """Returns the version of Landlock's interface in this kernel, 0 if there is none."""
    if sys.platform != "linux":
        return 0
    try:
        return max(0, _call(_CREATE_RULESET, None, 0, _VERSION_FLAG))
    except (OSError, AttributeError):
        return 0


def has_filters() -> bool:
    """Returns whether this machine's system calls can be filtered."""
    actions = Path("/proc/sys/kernel/seccomp/actions_avail")
    return platform.machine() in _MACHINES and actions.is_file()


def restrict_files(readable: Iterable[Path]) -> bool:
    """From now on this thread and those that it starts can read files in these folders, and open no others.
    Returns False, without effect, if the kernel has no Landlock. Raises OSError."""
    version = landlock_version()
    if not version:
        return False
    rights = (1 << _FILE_RIGHTS.get(version, 16)) - 1
    network = _NETWORK_RIGHTS if version >= 4 else 0
    attributes = struct.pack("=QQQ", rights, network, _SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _call(_CREATE_RULESET, attributes[:size], size, 0)
    try:
        for path in readable:
            if path.is_dir():
                _allow(ruleset, path)
        _libc().prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return True


def allow_computing_only() -> bool:
    """From now on all threads of this process can compute, use open files, and start threads, and do nothing
    else: other system calls fail with EPERM. Returns False, without effect, if this machine has no filters.
    Raises OSError."""
    if not has_filters():
        return False
    column, architecture, own_number = _MACHINES[platform.machine()]
    code = _filter(column, architecture)
    _libc().prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    program = _Program(len(code) // 8, code)
    if _call(own_number, _SET_MODE_FILTER, _FILTER_ALL_THREADS, ctypes.byref(program)):
        raise OSError(errno.EPERM, "a thread of this process has a filter of its own")
    return True


def _filter(column: int, architecture: int) -> bytes:
    """Returns the program that decides about each call."""
    refuse = [(_RETURN, 0, 0, _ERRNO | errno.EPERM)]
    allow = [(_RETURN, 0, 0, _ALLOW)]
    first_argument = (_LOAD, 0, 0, _ARGUMENTS)
    code = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        *refuse,
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _FOREIGN_TABLE),
        *refuse,
    ]
    for numbers in _COMPUTING.values():
        number = numbers[column]
        if number is not None:
            code += [(_EQUAL, 0, 1, number), *allow]
    # glibc starts threads with `clone` where `clone3`, whose arguments no filter sees, is unknown.
    code += [(_EQUAL, 0, 1, _CLONE3[column]), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
    code += [(_EQUAL, 0, 4, _CLONE[column]), first_argument, (_ANY_BIT, 0, 1, _THREAD_FLAG), *allow, *refuse]
    code += [(_EQUAL, 0, 4, _TGKILL[column]), first_argument, (_EQUAL, 0, 1, os.getpid()), *allow, *refuse]
    # A limit can be read: the pointer to a new one, in two halves, is null.
    new_limit = _ARGUMENTS + 2 * 8
    code += [
        (_EQUAL, 0, 6, _PRLIMIT64[column]),
        (_LOAD, 0, 0, new_limit),
        (_EQUAL, 0, 3, 0),
        (_LOAD, 0, 0, new_limit + 4),
        (_EQUAL, 0, 1, 0),
        *allow,
        *refuse,
        *refuse,
    ]
    return b"".join([struct.pack("=HBBI", *instruction) for instruction in code])


def _allow(ruleset: int, folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", _READ_FILE | _READ_DIR, descriptor)
        _call(_ADD_RULE, ruleset, _RULE_FOR_PATH, rule, 0)
    finally:
        os.close(descriptor)


def _call(number: int, *arguments: object) -> int:
    """Makes a system call. Raises OSError."""
    found: int = _libc().syscall(ctypes.c_long(number), *arguments)
    if found < 0:
        problem = ctypes.get_errno()
        raise OSError(problem, os.strerror(problem))
    return found


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
