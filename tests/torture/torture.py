"""Tortures a server and reports what it cost those who did nothing wrong.

Each round, all at once: slowhttptest in its four modes (slow heads, slow bodies, ranges, slow readers), wrk
with 10,000 connections, and a well-behaved client. The same well-behaved client asks a second server that
nobody tortures. What both have to wait for is the machine's doing, not the server's; so is the time that the
tortured worker was ready to run and had no processor, since all of this shares a few of them.

It fails if a request was lost or answered wrongly, if the worker's memory grows from round to round, or if
the well-behaved client had to wait 100 ms longer than the machine explains. Everything stays on 127.0.0.1 and
ends by itself.
"""

import argparse
import csv
import multiprocessing
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import harness  # noqa: E402

SECONDS = 6  # of a round
THINK_MS = 2000  # of each connection of wrk, on average
CROWDS = 4  # of wrk
SLOW_CONNECTIONS = 400  # of each mode of slowhttptest
STALL_MS = 100
LEAST_ROUNDS = 8  # to tell growth from warming up
GROWTH_KB = 1024

MODES = {
    "slow heads": ["-H", "-i", "1", "-x", "24"],
    "slow bodies": ["-B", "-i", "1", "-x", "10", "-s", "8192"],
    "ranges": ["-R", "-a", "5", "-b", "3000"],
    "slow readers": ["-X", "-w", "10", "-y", "20", "-n", "1", "-z", "32", "-k", "3"],
}


# The well-behaved client, in a process of its own.


class Clock:
    """What a server's worker and this process do with the time that passes (proc(5), schedstat)."""

    def __init__(self, pid):
        self._tasks = Path(f"/proc/{pid}/task")
        self._begin = time.monotonic()
        self._ran, self._delayed = self._read()

    def _read(self):
        """Milliseconds that the worker ran, and that it or this process was ready but had no processor."""
        worker = [task / "schedstat" for task in self._tasks.iterdir()]
        fields = [path.read_text().split() for path in [*worker, Path("/proc/self/schedstat")]]
        return sum(int(each[0]) for each in fields[:-1]) / 1e6, sum(int(each[1]) for each in fields) / 1e6

    def read(self):
        """Milliseconds since the clock was made; and without what was waited for a processor.

        Threads that wait for one side by side are counted twice, so the second is at least the time that
        the worker ran.
        """
        passed = (time.monotonic() - self._begin) * 1000
        ran, delayed = self._read()
        return passed, min(passed, max(passed - (delayed - self._delayed), ran - self._ran))


class Witness:
    """Asks without pause, compares each answer, and measures the longest wait."""

    def __init__(self, server):
        self._address = server.address
        self._worker = server.worker
        self._number = 0
        self.answered = self.lost = self.wrong = 0
        self.longest_ms = self.own_ms = 0.0

    def watch(self, enough, results):
        """Until `enough` is set, then puts the results."""
        while not enough.is_set():
            try:
                self._ask_often(enough)
            except (AssertionError, OSError, harness.Truncated) as reason:
                print(f"lost: {reason}", file=sys.stderr)
                self.lost += 1
        results.put((self.answered, self.lost, self.wrong, self.longest_ms, self.own_ms))

    def _ask_often(self, enough):
        """Over a connection of its own, for which it waits too."""
        client = None
        try:
            for _ in range(40):
                clock = Clock(self._worker)
                client = client or harness.Client(self._address, timeout=10)
                self.wrong += not self._ask(client)
                self.answered += 1
                longest_ms, own_ms = clock.read()
                self.longest_ms = max(self.longest_ms, longest_ms)
                self.own_ms = max(self.own_ms, own_ms)
                enough.wait(0.002)
        finally:
            if client:
                client.close()

    def _ask(self, client):
        self._number += 1
        content = random.randbytes(20_000) if self._number % 10 == 0 else b""
        method = "POST" if content else "GET"
        response = client.request(harness.make_request(method, f"/{self._number}", body=content))
        return response.text == f"{method} /{self._number} {len(content)} {zlib.crc32(content)}\n"


class Watch:
    """A witness at work while the block runs; its results are fields afterwards."""

    def __init__(self, server):
        self._enough = multiprocessing.Event()
        self._results = multiprocessing.Queue()
        self._process = multiprocessing.Process(
            target=Witness(server).watch, args=(self._enough, self._results)
        )

    def __enter__(self):
        self._process.start()
        return self

    def __exit__(self, *_):
        self._enough.set()
        self.answered, self.lost, self.wrong, self.longest_ms, self.own_ms = self._results.get(timeout=60)
        self._process.join()


# The tormentors.


def start(command, directory, **environment):
    return subprocess.Popen(
        [str(word) for word in command],
        cwd=directory,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process):
    output, _ = process.communicate(timeout=10 * SECONDS + 60)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(process.args)} failed:\n{output}")
    return output


def start_slow(server, mode, directory):
    command = [
        "slowhttptest",
        *MODES[mode],
        "-c",
        SLOW_CONNECTIONS,
        "-r",
        SLOW_CONNECTIONS,
        "-l",
        SECONDS,
        "-p",
        3,
    ]
    target = "large" if mode == "slow readers" else "slow"
    return start([*command, "-g", "-o", mode.replace(" ", "-"), "-u", server.url + target], directory)


def seconds_unavailable(mode, directory):
    """In how many seconds slowhttptest's own probe had no answer."""
    with open(directory / f"{mode.replace(' ', '-')}.csv") as report:
        return sum(row["Service Available"] == "0" for row in csv.DictReader(report))


def start_wrk(server, connections, directory):
    """Several, one after the other: more connections at once than the system lets wait would be refused."""
    crowds = []
    for _ in range(CROWDS):
        command = ["wrk", "-t", 1, "-c", connections // CROWDS, "-d", f"{SECONDS}s", "--timeout", "10s"]
        script = ["-s", HERE / "wrk.lua", server.url + "wrk"]
        crowds.append(start([*command, *script], directory, THINK_MS=str(THINK_MS)))
        harness.measure_for(0.3)
    return crowds


def results_of_wrk(crowds):
    """Answered, wrong, lost."""
    results = []
    for process in crowds:
        output = finish(process)
        match = re.search(r"RESULT answered=(\d+) wrong=(\d+) lost=(\d+)", output)
        if match is None:
            raise SystemExit(f"wrk says:\n{output}")
        results.append([int(group) for group in match.groups()])
    return (sum(column) for column in zip(*results, strict=True))


# A round, and all of them.


class Round:
    """What came of it."""

    HEADINGS = (
        "round  answered  lost  wrong  unavailable  memory KiB  longest wait ms  its own ms  beside it ms"
    )

    def __init__(self, tortured, idle, connections):
        with tempfile.TemporaryDirectory(prefix="cserve-torture-") as name:
            directory = Path(name)
            with Watch(tortured) as watched, Watch(idle) as control:
                slow = [start_slow(tortured, mode, directory) for mode in MODES]
                answered, wrong, lost = results_of_wrk(start_wrk(tortured, connections, directory))
                for process in slow:
                    finish(process)
            self.unavailable = sum(seconds_unavailable(mode, directory) for mode in MODES)
        harness.eventually(lambda: open_sockets(tortured.worker) < 20, 60, "all connections closed")
        self.answered = answered
        self.idle = answered < connections
        self.lost = lost + watched.lost
        self.wrong = wrong + watched.wrong
        self.memory_kb = tortured.rss_kb()
        self.longest_ms, self.own_ms = watched.longest_ms, watched.own_ms
        self.control_ms = control.longest_ms
        self.control_failed = control.lost + control.wrong

    def show(self, number):
        print(
            f"{number:5} {self.answered:9} {self.lost:5} {self.wrong:6} {self.unavailable:12}"
            f" {self.memory_kb:11}"
            f" {self.longest_ms:16.1f} {self.own_ms:11.1f} {self.control_ms:13.1f}",
            flush=True,
        )


def open_sockets(pid):
    return sum(target.startswith("socket:") for target in harness.links(pid))


def complaints(rounds):
    """What was not right."""
    if sum(each.lost for each in rounds):
        yield f"{sum(each.lost for each in rounds)} requests were lost"
    if sum(each.wrong for each in rounds):
        yield f"{sum(each.wrong for each in rounds)} answers were wrong"
    if sum(each.unavailable for each in rounds):
        yield f"slowhttptest found no service in {sum(each.unavailable for each in rounds)} seconds"
    if sum(each.control_failed for each in rounds):
        yield "the server that nobody tortured failed: the machine is not fit for this"
    if any(each.idle for each in rounds):
        yield f"{sum(each.idle for each in rounds)} rounds prove nothing: wrk had too little time to ask"
    if len(rounds) >= LEAST_ROUNDS:
        # What a crowd needs at once differs from round to round, so a peak is no growth; a new level is.
        before = max(each.memory_kb for each in rounds[: len(rounds) // 2])
        after = min(each.memory_kb for each in rounds[-len(rounds) // 4 :])
        if after > before + GROWTH_KB:
            yield f"memory grew: first half at most {before} KiB, last quarter at least {after} KiB"
    for number, each in enumerate(rounds, 1):
        if each.own_ms > each.control_ms + STALL_MS:
            yield f"round {number}: a wait of {each.own_ms:.0f} ms, beside it of {each.control_ms:.0f} ms"


def serve(binary):
    return harness.Server(binary, HERE / "app.py", ["--access-logfile", os.devnull])


def torture(binary, count, connections):
    harness.allow_descriptors(connections + 4096)
    rounds = []
    tortured, idle = serve(binary), serve(binary)
    try:
        print(
            f"{connections} connections of wrk, 4 times {SLOW_CONNECTIONS} of slowhttptest,"
            f" {SECONDS} s a round"
        )
        print(Round.HEADINGS)
        for number in range(1, count + 1):
            rounds.append(Round(tortured, idle, connections))
            rounds[-1].show(number)
        for server in (tortured, idle):
            server.check()
            server.stop()
    finally:
        tortured.kill()
        idle.kill()
    return rounds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cserve", required=True, type=Path, help="the server binary")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--connections", type=int, default=10_000, help="of wrk")
    arguments = parser.parse_args()
    rounds = torture(arguments.cserve.resolve(), arguments.rounds, arguments.connections)
    wrong = list(complaints(rounds))
    print(
        f"requests lost: {sum(each.lost for each in rounds)};"
        f" wrong answers: {sum(each.wrong for each in rounds)};"
        f" memory: {rounds[0].memory_kb} KiB behind the first round,"
        f" {rounds[-1].memory_kb} KiB behind the last;"
        f" longest wait: {max(each.longest_ms for each in rounds):.0f} ms, of which the server's own"
        f" {max(each.own_ms for each in rounds):.0f} ms; beside it, where nothing went on:"
        f" {max(each.control_ms for each in rounds):.0f} ms"
    )
    for complaint in wrong:
        print(f"FAILED: {complaint}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
