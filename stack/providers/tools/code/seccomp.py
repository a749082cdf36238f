"""The system calls that executed code may not make: a filter for the kernel (seccomp), as a BPF program.

The namespaces of the sandbox already take away what most of these calls would reach. The filter denies them all the
same, because they are the ones in which the kernel had its vulnerabilities. It also denies new processes, so that the
limits of one process are those of the execution, and memory that no limit counts.
"""

from __future__ import annotations

import errno
import struct

# Name, and number on x86_64 and aarch64 ("-": the architecture does not have it).
_DENIED = """
fork 57 -                   vfork 58 -                  unshare 272 97              setns 308 268
mount 165 40                umount2 166 39              pivot_root 155 41           chroot 161 51
open_tree 428 428           move_mount 429 429          fsopen 430 430              fsconfig 431 431
fsmount 432 432             fspick 433 433              mount_setattr 442 442       quotactl 179 60
ptrace 101 117              process_vm_readv 310 270    process_vm_writev 311 271   pidfd_getfd 438 438
kexec_load 246 104          kexec_file_load 320 294     init_module 175 105         finit_module 313 273
delete_module 176 106       bpf 321 280                 perf_event_open 298 241     userfaultfd 323 282
io_uring_setup 425 425      io_uring_enter 426 426      io_uring_register 427 427   personality 135 92
add_key 248 217             request_key 249 218         keyctl 250 219              syslog 103 116
memfd_create 319 279        memfd_secret 447 447        shmget 29 194               msgget 68 186
semget 64 190               mq_open 240 180             name_to_handle_at 303 264   open_by_handle_at 304 265
fanotify_init 300 262       swapon 167 224              swapoff 168 225             reboot 169 142
acct 163 89
"""
_MACHINES = ("x86_64", "aarch64")
_ARCHITECTURE = (0xC000003E, 0xC00000B7)
_CLONE = (56, 220)
_SOCKET = (41, 198)
_CLONE3 = 435
_OTHER_CONVENTION = 0x40000000
"""Numbers from here are those of x32, which the list does not have."""
_CLONE_THREAD = 0x10000
_AF_UNIX = 1

_LOAD, _EQUAL, _GREATER_OR_EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENT_AT = 0, 4, 16


def program(machine: str) -> bytes | None:
    """Returns the filter for a machine as `platform.machine()` names it, None if it is not supported."""
    if machine not in _MACHINES:
        return None
    column = _MACHINES.index(machine)
    words = _DENIED.split()
    denied = [int(number) for number in words[1 + column :: 3] if number != "-"]
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, _ARCHITECTURE[column]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_GREATER_OR_EQUAL, 0, 1, _OTHER_CONVENTION),
        (_RETURN, 0, 0, _KILL),
    ]
    for number in denied:
        steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | errno.EPERM)]
    steps += [
        # The C library then makes threads with clone, whose flags can be read here.
        (_EQUAL, 0, 1, _CLONE3),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
        (_EQUAL, 0, 4, _CLONE[column]),
        (_LOAD, 0, 0, _ARGUMENT_AT),
        (_ANY_BIT, 1, 0, _CLONE_THREAD),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
        (_EQUAL, 0, 3, _SOCKET[column]),
        (_LOAD, 0, 0, _ARGUMENT_AT),
        (_EQUAL, 1, 0, _AF_UNIX),
        (_RETURN, 0, 0, _ERRNO | errno.ENETDOWN),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
