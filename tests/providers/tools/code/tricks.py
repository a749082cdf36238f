"""Code that tries to get out of its engine, or to exhaust it.

`says` is part of what the engine must answer. An empty one means that the code may do this: what matters then is that
the canary is not in the answer and that the engine still works. `error` tells whether the answer must be an error.
"""

from __future__ import annotations

from msgspec import Struct


class Trick(Struct, frozen=True):
    name: str
    code: str
    says: str = ""
    error: bool = True


def _tricks(**codes: tuple[str, str]) -> list[Trick]:
    return [Trick(name, code, says) for name, (code, says) in codes.items()]


def _harmless(**codes: str) -> list[Trick]:
    return [Trick(name, code, error=False) for name, code in codes.items()]


NOT_THERE = "NameError"
NO_MODULE = "ModuleNotFoundError"
NO_ATTRIBUTE = "AttributeError"

# Names of the process and its files, through imports, builtins and the attributes of objects.
MONTY_ESCAPES = _tricks(
    environment=("import os\nos.environ", "not supported"),
    environment_value=("import os\nos.getenv('HOME')", "not supported"),
    system=("import os\nos.system('id')", NO_ATTRIBUTE),
    popen=("import os\nos.popen('id').read()", NO_ATTRIBUTE),
    fork=("import os\nos.fork()", NO_ATTRIBUTE),
    execute=("import os\nos.execv('/bin/sh', ['sh'])", NO_ATTRIBUTE),
    kill_parent=("import os\nos.kill(os.getppid(), 9)", NO_ATTRIBUTE),
    exit_now=("import os\nos._exit(0)", NO_ATTRIBUTE),
    subprocess=("import subprocess\nsubprocess.run('id')", NO_MODULE),
    socket=("import socket\nsocket.create_connection(('127.0.0.1', 8321))", NO_MODULE),
    urllib=("import urllib.request\nurllib.request.urlopen('http://127.0.0.1:8321')", NO_MODULE),
    http=("import http.client", NO_MODULE),
    ctypes=("import ctypes\nctypes.CDLL(None)", NO_MODULE),
    signal=("import signal\nsignal.alarm(0)", NO_MODULE),
    resource=("import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))", NO_MODULE),
    threading=("import threading\nthreading.Thread(target=print).start()", NO_MODULE),
    multiprocessing=("import multiprocessing", NO_MODULE),
    importlib=("import importlib\nimportlib.import_module('os')", NO_MODULE),
    builtins_module=("import builtins", NO_MODULE),
    inspect=("import inspect\ninspect.currentframe()", NO_MODULE),
    gc=("import gc\ngc.get_objects()", ""),
    pickle=("import pickle\npickle.loads(b'cos\\nsystem\\n(S\"id\"\\ntR.')", NO_MODULE),
    the_server=("import stack.config", NO_MODULE),
    the_worker=("import pydantic_monty", NO_MODULE),
    relative_import=("from . import x", ""),
    import_function=("__import__('os')", NOT_THERE),
    open_file=("open('/etc/passwd').read()", "Permission denied"),
    write_file=("open('/tmp/x', 'w').write('x')", "Permission denied"),
    open_proc=("open('/proc/self/environ').read()", "Permission denied"),
    open_descriptor=("open(0).read()", "TypeError"),
    path_read=("from pathlib import Path\nPath('/etc/passwd').read_text()", "Permission denied"),
    path_up=("from pathlib import Path\nPath('../../../etc/passwd').read_text()", "Permission denied"),
    path_list=("from pathlib import Path\nlist(Path('/').iterdir())", ""),
    path_write=("from pathlib import Path\nPath('x').write_text('x')", ""),
    path_link=("from pathlib import Path\nPath('x').symlink_to('/etc/passwd')", ""),
    list_folder=("import os\nos.listdir('/')", ""),
    io_open=("import io\nio.open('/etc/passwd').read()", ""),
    input_line=("input()", NOT_THERE),
    breakpoint_call=("breakpoint()", NOT_THERE),
    compile_call=("compile('1', 'x', 'eval')", NOT_THERE),
    global_names=("globals()", NOT_THERE),
    variables=("vars()", ""),
    subclasses=("().__class__.__bases__[0].__subclasses__()", NO_ATTRIBUTE),
    mro=("type(1).__mro__", ""),
    object_subclasses=("object.__subclasses__()", ""),
    function_globals=("def f(): pass\nf.__globals__", NO_ATTRIBUTE),
    function_code=("def f(): pass\nf.__code__", NO_ATTRIBUTE),
    builtin_self=("print.__self__", NO_ATTRIBUTE),
    module_loader=("import json\njson.__loader__", NO_ATTRIBUTE),
    module_dict=("import json\njson.__dict__", NO_ATTRIBUTE),
    system_modules=("import sys\nsys.modules['os'].system('id')", NO_ATTRIBUTE),
    frames=("import sys\nsys._getframe()", NO_ATTRIBUTE),
    traceback_frame=("try:\n    1 / 0\nexcept Exception as e:\n    e.__traceback__.tb_frame", NO_ATTRIBUTE),
    format_attributes=("'{0.__class__.__base__}'.format(1)", ""),
    string_attribute=("getattr((), '__cla' + 'ss__')", NO_ATTRIBUTE),
    set_builtin=("import json\njson.loads = 1", ""),
    eval_import=("eval(\"__import__('os').system('id')\")", NOT_THERE),
    exec_import=("exec('import subprocess')", NO_MODULE),
    decorator=("@open\ndef f(): pass", ""),
    exit_call=("exit()", NOT_THERE),
    system_exit=("raise SystemExit(0)", ""),
    keyboard_interrupt=("raise KeyboardInterrupt", "KeyboardInterrupt"),
    random_bytes=("import os\nos.urandom(10**9)", ""),
    own_tool=("code_interpreter(code='1')", NOT_THERE),
    no_tool=("tool('x')", NOT_THERE),
)

MONTY_EXHAUSTS = [
    Trick(name, code, says)
    for name, (code, says) in {
        "list_allocation": ("x = [0] * 10**9", "The limit on memory is 64 MiB"),
        "text_allocation": ("x = 'x' * 10**10", "The limit on memory is 64 MiB"),
        "bytes_allocation": ("x = bytes(10**10)", "The limit on memory is 64 MiB"),
        "growing_list": ("x = []\nwhile True: x.append('x' * 1000)", "limit"),
        "growing_dict": ("x = {}\nn = 0\nwhile True:\n    n += 1\n    x[n] = str(n) * 100", "limit"),
        "doubling_text": ("x = 'x'\nwhile True: x += x", "The limit on memory is 64 MiB"),
        "doubling_list": ("x = [1]\nwhile True: x += x", "limit"),
        "joined_text": ("'x'.join(['y' * 10**6] * 10**4)", "limit"),
        "replaced_text": ("('a' * 10**6).replace('a', 'b' * 10**4)", "The limit on memory is 64 MiB"),
        "padded_text": ("'x'.rjust(10**10)", "The limit on memory is 64 MiB"),
        "formatted_text": ("f'{1:>{10**10}}'", ""),
        "formatted_percent": ("'%10000000000d' % 1", ""),
        "zeros": ("'1'.zfill(10**10)", "The limit on memory is 64 MiB"),
        "huge_power": ("10 ** 10 ** 10", "The limit on memory is 64 MiB"),
        "huge_shift": ("1 << 10**11", "The limit on memory is 64 MiB"),
        "huge_decimal_text": ("str(10 ** 1_000_000)", ""),
        "huge_range_list": ("list(range(10**12))", "limit"),
        "recursion": ("def f(): return f()\nf()", "RecursionError"),
        "mutual_recursion": ("def f(n): return g(n)\ndef g(n): return f(n)\nf(1)", "RecursionError"),
        "recursive_lambda": ("f = lambda: f()\nf()", "RecursionError"),
        "recursive_repr": ("class A:\n    def __repr__(self): return repr(self)\nrepr(A())", "RecursionError"),
        "recursive_eq": ("class A:\n    def __eq__(self, o): return self == o\nA() == A()", "RecursionError"),
        "recursive_async": ("async def f(): return await f()\nawait f()", ""),
        "nested_lists": ("x = []\nfor _ in range(10**6): x = [x]\nx == x", ""),
        "nested_json": ("import json\njson.loads('[' * 10**6)", ""),
        "endless_print": ("while True: print('x' * 1000)", "prints more than 50,000 characters"),
        "endless_short_print": ("while True: print()", "limit"),
        "large_print": ("print('x' * 10**7)", "prints more than 50,000 characters"),
        "caught_output_limit": ("while True:\n    try: print('x' * 10**5)\n    except BaseException: pass", "limit"),
        "huge_exception": ("raise ValueError('x' * 10**7)", "[Left out: 9,99"),
        "suppressed_names": ("while True:\n    try: nothing\n    except NameError: pass", "limit"),
        "suppressed_calls": ("while True:\n    try: nothing()\n    except NameError: pass", "limit"),
        "nested_parentheses": ("(" * 50_000 + ")" * 50_000, ""),
        "nested_brackets": ("[" * 20_000 + "]" * 20_000, ""),
        "nested_functions": ("\n".join(" " * n + "def f():" for n in range(300)) + "\n" + " " * 300 + "pass", ""),
        "nested_ifs": ("\n".join(" " * n + "if 1:" for n in range(400)) + "\n" + " " * 400 + "pass", ""),
        "chained_operators": ("1" + "+1" * 45_000, ""),
        "chained_attributes": ("x" + ".x" * 45_000, ""),
        "chained_calls": ("f" + "()" * 45_000, ""),
        "nested_unary": ("-" * 90_000 + "1", ""),
        "nested_not": ("not " * 24_000 + "1", ""),
        "nested_lambda": ("lambda: " * 12_000 + "1", ""),
        "long_name": ("x" * 99_000, ""),
        "many_arguments": ("f(" + "1," * 49_000 + ")", ""),
        "too_much_code": ("#" * 100_001, "the code has more than 100,000 bytes"),
        "regex_reference": ("import re\nre.match('(a*)*\\\\1b', 'a' * 40)", "limit"),
        "regex_nested": ("import re\nre.match('(x+x+)+(?=y)y', 'x' * 60)", "limit"),
        "regex_size": ("import re\nre.match('(a{1000}){1000}', 'a')", ""),
        "sorting": ("sorted(range(10**8))", "limit"),
        "product": ("import itertools\nlist(itertools.product(range(1000), repeat=4))", "limit"),
        "endless_count": ("import itertools\nsum(1 for _ in itertools.count())", "limit"),
        "comprehension": ("[[0] * 1000 for _ in range(10**9)]", "limit"),
        "set_growth": ("x = set()\nn = 0\nwhile True:\n    n += 1\n    x.add(n)", "limit"),
    }.items()
]  # fmt: skip

# These take until the limit on time.
MONTY_LOOPS = _tricks(
    loop=("while True: pass", "s of computing time"),
    loop_that_catches=(
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "s of computing time",
    ),
    native_loop=("x = 7\nwhile True: x *= x", "limit"),
    huge_sum=("sum(range(10**15))", "limit"),
    many_sleeps=("import time\nwhile True: time.sleep(10**6)", "limit"),
    many_tasks=(
            "import asyncio\nasync def f(): await asyncio.sleep(1)\nwhile True: await asyncio.gather(*[f() for _ in range(1000)])",
            "limit",
        ),
    loop_in_comprehension=("[0 for _ in range(10**18)]", "limit"),
)  # fmt: skip

# Values of the code that leave it: as the last value, and as arguments.
MONTY_VALUES = [
    Trick(name, code, says, error)
    for name, (code, says, error) in {
        "shared_lists": ("x = [0] * 100\nfor _ in range(3): x = [x] * 100\nx", "", False),
        "list_in_itself": ("x = []\nx.append(x)\nx", "...", False),
        "deep_value": ("x = []\nfor _ in range(900): x = [x]\nx", "", False),
        "huge_integer": ("10 ** 20_000", "an integer of 66,439 bits", False),
        "large_value": ("['x' * 1000] * 1000", "at most 50,000 characters", False),
        "large_text": ("'x' * 10**7", "at most 50,000 characters", False),
        "lying_repr": ("class A:\n    def __repr__(self): return 'x' * 10**6\nA()", "A(", False),
        "function": ("lambda: 1", "", False),
        "nested_fstrings": ("f'{" * 30 + "1" + "}'" * 30, "", False),
        "null_characters": ("x = '\0'", "", False),
        "invalid_utf8": ("'\udce9'", "", False),
        "regex_backtracking": ("import re\nre.match('(a|aa)+$', 'a' * 10**4 + 'b')", "", False),
        "module": ("import json\njson", "", False),
        "made_class": ("type('X', (), {'__init__': 1})", "", False),
        "destructor": ("class A:\n    def __del__(self): print('x')\nA()", "", False),
        "deep_text": ("x = []\nfor _ in range(10**5): x = [x]\nstr(x)", "", False),
        "large_power": ("pow(3, 10**7, 10**5000 + 1)", "", False),
    }.items()
]

# In the sandbox several of these share a process: each prints what it found out.
SANDBOX_ESCAPES = _tricks(
    fork=("import os\nos.fork()", "Operation not permitted"),
    vfork=("import ctypes\nc = ctypes.CDLL(None, use_errno=True)\nassert c.syscall(58) == -1\nraise OSError(ctypes.get_errno(), '')", "[Errno 1]"),
    subprocess=("import subprocess\nsubprocess.run(['/bin/sh', '-c', 'id'])", "Operation not permitted"),
    posix_spawn=("import os\nos.posix_spawn('/bin/sh', ['sh'], {})", "Operation not permitted"),
    system=("import os\nassert os.system('id') == 0", "AssertionError"),
    multiprocessing=("import multiprocessing\nmultiprocessing.Process(target=print).start()", "Operation not permitted"),
    internet=("import socket\nsocket.create_connection(('1.1.1.1', 80), 5)", "Network is down"),
    loopback=("import socket\nsocket.create_connection(('127.0.0.1', 8321), 5)", "Network is down"),
    raw_socket=("import socket\nsocket.socket(socket.AF_PACKET, socket.SOCK_RAW)", "Network is down"),
    netlink=("import socket\nsocket.socket(socket.AF_NETLINK, socket.SOCK_RAW)", "Network is down"),
    vsock=("import socket\nsocket.socket(40, socket.SOCK_STREAM)", "Network is down"),
    lookup=("import socket\nsocket.gethostbyname('example.org')", "gaierror"),
    abstract_socket=("import socket\nsocket.socket(socket.AF_UNIX).connect('\\0/tmp/.X11-unix/X0')", "refused"),
    system_bus=("import socket\nsocket.socket(socket.AF_UNIX).connect('/run/dbus/system_bus_socket')", "No such file"),
    docker=("import socket\nsocket.socket(socket.AF_UNIX).connect('/var/run/docker.sock')", "No such file"),
    passwords=("open('/etc/passwd').read()", "No such file"),
    shadow=("open('/etc/shadow').read()", "No such file"),
    host_name=("open('/etc/hostname').read()", "No such file"),
    own_process=("open('/proc/self/environ').read()", "No such file"),
    first_process=("open('/proc/1/environ').read()", "No such file"),
    kernel=("open('/sys/kernel/notes', 'rb').read()", "No such file"),
    memory_device=("open('/dev/mem', 'rb').read(1)", "No such file"),
    kernel_log=("open('/dev/kmsg').read(1)", "No such file"),
    disks=("open('/dev/sda', 'rb').read(1)", "No such file"),
    variables=("open('/var/log/syslog').read()", "No such file"),
    write_root=("open('/x', 'w')", "Read-only"),
    write_system=("open('/usr/lib/x', 'w')", "Read-only"),
    write_environment=("import sys\nopen(sys.prefix + '/x', 'w')", "Read-only"),
    write_interpreter=("import os, sys\nos.remove(os.path.realpath(sys.executable))", "Read-only"),
    write_devices=("open('/dev/x', 'w')", "Read-only"),
    make_device=("import os, stat\nos.mknod('/tmp/d', 0o600 | stat.S_IFBLK, os.makedev(8, 0))", "Operation not permitted"),
    symlink=("import os\nos.symlink('/etc/shadow', '/tmp/s')\nopen('/tmp/s').read()", "No such file"),
    hard_link=("import os\nos.link('/usr/bin/env', '/tmp/l')", "Invalid cross-device link"),
    mode_bits=("import os\nos.chmod('/usr/bin', 0o777)", "Read-only"),
    set_user=("import os\nos.setuid(0)", "Errno"),
    set_group=("import os\nos.setgroups([0])", "Operation not permitted"),
    change_root=("import os\nos.chroot('/tmp')", "Operation not permitted"),
    raise_limit=("import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))", "not allowed"),
    raise_files=("import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (10**6, 10**6))", "not allowed"),
    priority=("import os\nos.setpriority(os.PRIO_PROCESS, 0, -20)", "Permission"),
    kill_supervisor=("import os\nos.kill(os.getppid(), 9)\nraise OSError(os.getppid())", ""),
    kill_all=("import os\nos.kill(-1, 0)\nraise OSError('reached only the sandbox')", ""),
    unshare=("import os, ctypes\nc = ctypes.CDLL(None, use_errno=True)\nassert c.unshare(0x10000000) == -1\nraise OSError(ctypes.get_errno(), '')", "[Errno 1]"),
    mount=("import ctypes\nc = ctypes.CDLL(None, use_errno=True)\nassert c.mount(b'none', b'/tmp', b'tmpfs', 0, 0) == -1\nraise OSError(ctypes.get_errno(), '')", "[Errno 1]"),
    unmount=("import ctypes\nc = ctypes.CDLL(None, use_errno=True)\nassert c.umount2(b'/usr', 2) == -1\nraise OSError(ctypes.get_errno(), '')", "[Errno 1]"),
    trace=("import ctypes\nc = ctypes.CDLL(None, use_errno=True)\nassert c.ptrace(0, 0, 0, 0) == -1\nraise OSError(ctypes.get_errno(), '')", "[Errno 1]"),
    clone3=("import ctypes\nc = ctypes.CDLL(None, use_errno=True)\nassert c.syscall(435, 0, 0) == -1\nraise OSError(ctypes.get_errno(), '')", "[Errno 38]"),
    bpf=("import ctypes\nc = ctypes.CDLL(None, use_errno=True)\nassert c.syscall(321, 0, 0, 0) == -1\nraise OSError(ctypes.get_errno(), '')", "[Errno 1]"),
    io_uring=("import ctypes\nc = ctypes.CDLL(None, use_errno=True)\nassert c.syscall(425, 8, 0) == -1\nraise OSError(ctypes.get_errno(), '')", "[Errno 1]"),
    keys=("import ctypes\nc = ctypes.CDLL(None, use_errno=True)\nassert c.syscall(250, 0, -3, 0) == -1\nraise OSError(ctypes.get_errno(), '')", "[Errno 1]"),
    user_faults=("import ctypes\nc = ctypes.CDLL(None, use_errno=True)\nassert c.syscall(323, 0) == -1\nraise OSError(ctypes.get_errno(), '')", "[Errno 1]"),
    memory_file=("import os\nos.memfd_create('x')", "Operation not permitted"),
    shared_segment=("import ctypes\nc = ctypes.CDLL(None, use_errno=True)\nassert c.shmget(0, 10**9, 0o1600) == -1\nraise OSError(ctypes.get_errno(), '')", "[Errno 1]"),
    no_privileges=("import ctypes\nc = ctypes.CDLL(None)\nassert c.prctl(39, 0, 0, 0, 0) == 1\nraise OSError('has no new privileges')", "no new privileges"),
    input_line=("input()", "EOFError"),
    large_file=("open('/tmp/f', 'wb').write(bytes(17 << 20))", "File too large"),
    many_files=("x = [open('/dev/null') for _ in range(100)]", "Too many open files"),
)  # fmt: skip

SANDBOX_HARMLESS = _harmless(
    environment="import os\nprint(dict(os.environ))",
    processes="import os\nprint(os.getpid(), os.getppid(), os.getuid())",
    threads="import threading\nt = threading.Thread(target=print, args=('from a thread',))\nt.start()\nt.join()",
    temporary_file="import tempfile\nwith tempfile.TemporaryFile() as f: print(f.write(b'x'))",
    descriptors="import os\nfor n in range(64):\n    try: print(n, os.fstat(n).st_mode, os.lseek(n, 0, 1))\n    except OSError: pass",
)

# These end the process, or use up its limits: each has a sandbox of its own.
SANDBOX_EXHAUSTS = [
    Trick(name, code, says)
    for name, (code, says) in {
        "allocation": ("x = bytearray(10**10)", "The limit on memory is 256 MiB"),
        "growing": ("x = []\nwhile True: x.append(bytes(10**6))", "The limit on memory is 256 MiB"),
        "mappings": (
            "import mmap\nx = [mmap.mmap(-1, 1 << 20) for _ in range(1000)]",
            "Cannot allocate memory",
        ),
        "full_disk": (
            "n = 0\nwhile True:\n    n += 1\n    open(f'/tmp/{n}', 'wb').write(bytes(10 << 20))",
            "No space left on device",
        ),
        "full_shared_memory": (
            "n = 0\nwhile True:\n    n += 1\n    open(f'/dev/shm/{n}', 'wb').write(bytes(1 << 20))",
            "No space left on device",
        ),
        "endless_print": ("while True: print('x' * 1000)", "prints more than 50,000 characters"),
        "unflushed_write": (
            "import os\nwhile True: os.write(1, b'x' * 10**6)",
            "prints more than 50,000 characters",
        ),
        "other_descriptors": (
            "import os\nwhile True:\n    for n in range(3, 64):\n        try: os.write(n, b'x' * 10**6)\n        except OSError: pass",
            "limit",
        ),
        "huge_exception": ("raise ValueError('x' * 10**7)", "prints more than 50,000 characters"),
        "recursion": ("def f(): return f()\nf()", "RecursionError"),
        "crash": ("import ctypes\nctypes.string_at(0)", "signal 11"),
        "abort": ("import os\nos.abort()", "signal 6"),
        "exit_now": ("import os\nos._exit(3)", ""),
        "kill_itself": ("import os\nos.kill(os.getpid(), 9)", "was ended"),
        "replace_itself": ("import os\nos.execv('/bin/sh', ['sh', '-c', 'echo $PPID; exit 3'])", ""),
        "nested_source": ("(" * 50_000 + ")" * 50_000, ""),
        "null_characters": ("x = '\0'", ""),
    }.items()
]

SANDBOX_LOOPS = _tricks(
    loop=("while True: pass", "which is the limit"),
    threads=(
            "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(100,)).start()",
            "",
        ),
    c_stack=("import sys\nsys.setrecursionlimit(10**9)\ndef f(): return f()\nf()", ""),
    loop_that_ignores=(
        "import signal\nfor n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n    except (OSError, ValueError): pass\nwhile True: pass",
        "limit",
    ),
    sleep=("import time\ntime.sleep(1000)", "which is the limit"),
    closed_output=("import os, time\nfor n in range(64):\n    try: os.close(n)\n    except OSError: pass\nwhile True: time.sleep(1)", "limit"),
)  # fmt: skip
