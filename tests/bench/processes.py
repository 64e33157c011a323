"""Process trees: on which core they run, what they cost, how much memory they had, and that they end.

A server is one process or several; what it costs is what its whole tree costs. All is read from proc(5).
"""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
STOP_SECONDS = 5


def add_core_options(parser):
    """Servers on the first core, clients on the last, unless it is said otherwise."""
    cores = sorted(os.sched_getaffinity(0))
    parser.add_argument("--server-core", type=int, default=cores[0], help="default: %(default)s")
    parser.add_argument("--client-core", type=int, default=cores[-1], help="default: %(default)s")


def on_core(core, command):
    """The command that runs `command` on this core only; None leaves it free."""
    command = [str(word) for word in command]
    return command if core is None else ["taskset", "--cpu-list", str(core), *command]


def read(pid, name):
    """A file of proc(5); "" if the process is gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def children(pid):
    """Of all its threads: each of them can have forked."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(child) for thread in threads for child in read(pid, f"task/{thread}/children").split()]


def tree(pid):
    """A process and all that descend from it."""
    return [pid, *(each for child in children(pid) for each in tree(child))]


def cpu_seconds(pid):
    """User and system time of the tree, with that of children that have ended and were waited for."""
    ticks = 0
    for each in tree(pid):
        fields = read(each, "stat").rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime
    return ticks / TICKS


def sum_kb(pids, name, field):
    """A field that has a line of its own, of several processes."""
    lines = (line.split() for pid in pids for line in read(pid, name).splitlines())
    return sum(int(words[1]) for words in lines if words and words[0] == field)


def peak_mb(pid):
    """The largest resident memory that each process of the tree had, added up: shared pages count in each."""
    return sum_kb(tree(pid), "status", "VmHWM:") / 1024


def pss_mb(pid):
    """The memory that the tree has now; a page that several processes share counts once, in parts."""
    return sum_kb(tree(pid), "smaps_rollup", "Pss:") / 1024


def start(command, core, **options):
    """Popen in a process group of its own, so that stop() reaches whatever it starts."""
    return subprocess.Popen(on_core(core, command), stdin=subprocess.DEVNULL, start_new_session=True,
                            **options)


def is_alive(pid):
    state = read(pid, "stat").rpartition(")")[2].split()
    return bool(state) and state[0] != "Z"


def stop(process):
    """Asks the tree to end, as an operator would, and kills it after STOP_SECONDS."""
    pids = tree(process.pid)
    process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    while any(map(is_alive, pids)) and time.monotonic() < deadline:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.01)
            time.sleep(0.001)  # children may outlive it a little
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for pid in filter(is_alive, pids):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def raise_on_sigterm():
    """So that a run which is terminated stops its servers too."""
    def leave(number, frame):
        raise SystemExit(128 + number)
    signal.signal(signal.SIGTERM, leave)
