r"""What cserve may cost, figure by figure: `make bench-budgets` runs this.

    python3 tests/bench/budgets.py --cserve build/release/cserve \
        --epoll-server build/release/bench/epoll_server

Prints each figure beside its budget, and fails when one is missed; a figure without a budget is there to be
looked at. The application is apps/hello.py; the server has one worker on a core of its own; wrk loads it from
another. Costs are compared in turns of a second each, and the median of the turns' ratios counts, since a
machine has moods that last.
"""

import argparse
import contextlib
import dataclasses
import os
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import load
import processes
import requests
import scenarios
import servers
from fetch import Connection

IDLE = 10_000  # connections
NAMES = 1_000  # of header fields
STARTS = 15
BATCHES = 100  # of a request on each connection, while system calls are counted
CONNECTIONS = 64

KIND = dataclasses.replace(
    servers.BY_NAME["cserve"],
    command="{cserve} --port {port} --workers 1 --log-level error --keep-alive 600 {app}")
MINIMAL = scenarios.BY_NAME["hello, length not declared"]
BROWSER = dataclasses.replace(MINIMAL, request=requests.browser)
IN_ONE_BATCH = {"epoll_wait", "epoll_pwait", "epoll_pwait2"}  # calls that all requests of a batch share
OF_THE_CLOCK = {"clock_nanosleep", "restart_syscall"}  # the monitor's sleep, a millisecond each


class Budgets:
    """Prints the figures and remembers whether one was missed."""

    def __init__(self):
        self.missed = False

    def report(self, what, value, form, most=None):
        missed = most is not None and float(f"{value:{form}}") > most
        self.missed |= missed
        judged = f"at most {most:{form}}  {'MISSED' if missed else 'ok'}" if most is not None else ""
        print(f"  {what:<66}{value:>9{form}}  {judged}".rstrip(), flush=True)


def worker_of(server):
    return processes.children(server.pid)[0]


class Cost:
    """What a server's requests cost, a turn at a time."""

    def __init__(self, server, scenario, places):
        self._server, self._scenario = server, scenario
        self._wrk = load.Wrk(places.scratch, places.client_core)
        self.turn()  # warms up

    def turn(self):
        """(CPU seconds of a request, requests a second)."""
        before = processes.cpu_seconds(self._server.pid)
        result = self._wrk.run(self._server.port, self._scenario, 1)
        if result.errors or not result.requests:
            raise SystemExit(f"errors under load: {result.errors}")
        return ((processes.cpu_seconds(self._server.pid) - before) / result.requests,
                result.requests / result.seconds)


def in_turns(one, other, rounds):
    """The medians of what `one` costs in terms of `other`: (CPU a request, requests a second)."""
    pairs = [(one.turn(), other.turn()) for _ in range(rounds)]
    return [statistics.median(mine[at] / theirs[at] for mine, theirs in pairs) for at in (0, 1)]


def yardstick(budgets, options, places):
    """CPU a request, of that of a server in C that neither looks into a request nor calls Python."""
    with servers.Server(KIND, MINIMAL, places) as cserve, \
            servers.Server(servers.BY_NAME["epoll in C"], MINIMAL, places) as bare:
        for name, scenario in (("minimal request", MINIMAL), ("browser's request", BROWSER)):
            ratio, _ = in_turns(Cost(cserve, scenario, places), Cost(bare, scenario, places), options.rounds)
            budgets.report(f"CPU, {name}, of that of an epoll server in C", ratio, ".2f")


def access_log(budgets, options, places):
    """How much of the throughput of hello a line in the access log takes."""
    log = places.scratch / "access.log"
    logging = dataclasses.replace(KIND, command=f"{KIND.command} --access-logfile {log}")
    with servers.Server(logging, MINIMAL, places) as one, servers.Server(KIND, MINIMAL, places) as other:
        cpu, rate = in_turns(Cost(one, MINIMAL, places), Cost(other, MINIMAL, places), options.rounds)
    if not log.stat().st_size:
        raise SystemExit("there is no access log")
    log.unlink()
    budgets.report("access log, share of the throughput that it takes", 1 - rate, ".3f", 0.05)
    budgets.report("  CPU a request, of that without", cpu, ".3f")


def seconds_until_served(places):
    """From the start of the program to its first answer."""
    port = servers.free_port()
    command = servers.command_of(KIND, MINIMAL, places, port)
    begin = time.perf_counter()
    process = processes.start(command, places.server_core, cwd=MINIMAL.app.directory, stdout=subprocess.PIPE)
    try:
        process.stdout.readline()  # "Serving HTTP on ..."
        with contextlib.closing(Connection(port)) as connection:
            connection.ask(requests.MINIMAL)
        return time.perf_counter() - begin
    finally:
        processes.stop(process)
        process.stdout.close()


def seconds_of_import(places):
    command = processes.on_core(places.server_core, [sys.executable, "-c", "import hello"])
    begin = time.perf_counter()
    subprocess.run(command, cwd=MINIMAL.app.directory, check=True)
    return time.perf_counter() - begin


def start(budgets, options, places):
    pairs = [(seconds_until_served(places), seconds_of_import(places)) for _ in range(STARTS)]
    ours, theirs = (statistics.median(column) for column in zip(*pairs))
    budgets.report("start to the first answer, ms", ours * 1e3, ".1f")
    budgets.report("  of the time of python3 -c 'import hello'", ours / theirs, ".2f", 1.3)


@contextlib.contextmanager
def interpreter(places):
    """The pid of a bare interpreter that has imported hello. Its executable is a copy, as cserve's is: one
    that runs elsewhere too would share its pages, and look smaller than it is."""
    copy = shutil.copy(os.path.realpath(sys.executable), places.scratch / "python")
    with subprocess.Popen([copy, "-c", "import hello; print('ready', flush=True); input()"],
                          env={**os.environ, "PYTHONHOME": sys.base_prefix}, cwd=MINIMAL.app.directory,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        if not process.stdout.readline():
            raise SystemExit("the interpreter did not start")
        yield process.pid
        process.kill()


def memory(budgets, options, places):
    """A worker that has answered, beside an interpreter that has loaded the same."""
    copied = dataclasses.replace(places, cserve=Path(shutil.copy(places.cserve, places.scratch / "cserve")))
    with servers.Server(KIND, MINIMAL, copied) as server, interpreter(places) as pid:
        ours, theirs = (processes.sum_kb([each], "smaps_rollup", "Pss:") for each in (worker_of(server), pid))
    budgets.report("PSS of a worker, MB", ours / 1024, ".1f")
    budgets.report("  of that of an interpreter which has imported hello", ours / theirs, ".2f", 1.25)


@contextlib.contextmanager
def connections(port, count):
    """So many that are kept alive behind a first answer."""
    opened = []
    try:
        for _ in range(count):
            opened.append(Connection(port))
            opened[-1].ask(requests.MINIMAL)
        yield opened
    finally:
        for connection in opened:
            connection.close()


def idle_connections(budgets, options, places):
    """What connections cost that have nothing to say."""
    with servers.Server(KIND, MINIMAL, places) as crowded, servers.Server(KIND, MINIMAL, places) as empty:
        one, other = Cost(crowded, MINIMAL, places), Cost(empty, MINIMAL, places)
        before = processes.pss_mb(crowded.pid)
        with connections(crowded.port, IDLE):
            grown_kb = (processes.pss_mb(crowded.pid) - before) * 1024
            ratio, _ = in_turns(one, other, options.rounds)
    budgets.report("memory of an idle connection, KB", grown_kb / IDLE, ".2f", 4.0)
    budgets.report(f"CPU a request beside {IDLE:,} idle connections, of that without", ratio, ".3f", 1.05)


def header_names(budgets, options, places):
    """What is remembered of names must not slow down those who send none of them."""
    with servers.Server(KIND, BROWSER, places) as taught, servers.Server(KIND, BROWSER, places) as fresh:
        with contextlib.closing(Connection(taught.port)) as connection:
            for number in range(NAMES):
                connection.ask(requests.MINIMAL[:-2] + b"X-Name-%d: value\r\n\r\n" % number)
        ratio, _ = in_turns(Cost(taught, BROWSER, places), Cost(fresh, BROWSER, places), options.rounds)
    budgets.report(f"CPU a request after {NAMES:,} names of fields, of that without", ratio, ".3f", 1.05)


@contextlib.contextmanager
def traced(pid, summary):
    """strace counts the system calls of a process and its threads, into `summary`, while the block runs."""
    with subprocess.Popen(["strace", "-c", "-f", "-p", str(pid), "-o", str(summary)],
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as strace:
        told = strace.stderr.readline()
        if "attached" not in told:
            raise SystemExit(f"strace: {told}")
        try:
            yield
        finally:
            strace.send_signal(signal.SIGINT)
            strace.communicate()


def counts(summary):
    """{system call: how often} of what strace -c writes."""
    row = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", re.MULTILINE)
    return {name: int(count) for count, name in row.findall(summary.read_text()) if name != "total"}


def system_calls(budgets, options, places):
    """How many a request takes, on connections that are open already."""
    summary = places.scratch / "strace"
    with servers.Server(KIND, MINIMAL, places) as server, connections(server.port, CONNECTIONS) as clients:
        with traced(worker_of(server), summary):
            for _ in range(BATCHES):
                for client in clients:
                    client.send(requests.MINIMAL)
                for client in clients:
                    client.receive()
    each = {name: count / BATCHES / CONNECTIONS for name, count in counts(summary).items()}
    own = sum(count for name, count in each.items() if name not in IN_ONE_BATCH | OF_THE_CLOCK)
    told = ", ".join(f"{name} {each[name]:.2f}" for name in sorted(each, key=each.get, reverse=True))
    budgets.report("system calls a request, without those that a batch shares", own, ".2f", 2.0)
    print(f"    {told}")


FIGURES = [yardstick, access_log, start, memory, idle_connections, header_names, system_calls]


def allow_descriptors(count):
    """For this process and the servers that it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise SystemExit(f"{count} open files are needed, and only {hard} allowed (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cserve", type=Path, required=True)
    parser.add_argument("--epoll-server", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=12, help="turns of a comparison; default: 12")
    processes.add_core_options(parser)
    names = [figure.__name__ for figure in FIGURES]
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"default: all of {', '.join(names)}")
    options = parser.parse_args()
    allow_descriptors(IDLE + 1000)
    processes.raise_on_sigterm()
    budgets = Budgets()
    with tempfile.TemporaryDirectory(prefix="cserve-budgets-") as scratch:
        places = servers.Places(Path(), options.cserve.resolve(), options.epoll_server.resolve(),
                                Path(scratch), options.server_core, options.client_core)
        os.sched_setaffinity(0, {options.client_core})
        for figure in FIGURES:
            if not options.figures or figure.__name__ in options.figures:
                figure(budgets, options, places)
    return int(budgets.missed)


if __name__ == "__main__":
    sys.exit(main())
