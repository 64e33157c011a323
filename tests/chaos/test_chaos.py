"""Signals at random to workers and master, under load by fast and slow clients, for SECONDS (default 10).

At the end: no request is lost but those that a killed worker had, no answer is another request's, no process,
zombie or descriptor is left over, and nothing has grown. SEED makes a run choose the same things again.
"""

import collections
import contextlib
import os
import random
import re
import select
import signal
import threading
import time
from pathlib import Path

import pytest

import harness

SECONDS = float(os.environ.get("SECONDS", "10"))
SEED = int(os.environ.get("SEED", str(random.SystemRandom().randrange(1 << 32))))
APP = Path(__file__).parent / "app.py"
WORKERS = 3
GRACE = 0.2  # seconds between two requests after which a close may cross the second
MANNERS = {  # what each asks for, and how many bytes come behind the first line
    "fast": ("/", 0),
    "slow": ("/slow", 0),
    "reader": ("/large", 500_000),
    "sender": ("/upload", 20_000),
    "stream": ("/stream", 200_000),
}
FATAL = (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT)


class Killed:
    """Which workers were killed, and when."""

    def __init__(self):
        self.pids = set()
        self.times = []

    def add(self, pid):
        self.pids.add(pid)
        self.times.append(time.monotonic())

    def excuse(self, pid, began):
        """Whether a request that began then, with this worker (None: not known which), may be lost."""
        if pid is not None:
            return pid in self.pids
        return any(began - 1.0 < when for when in self.times)


class Traffic(threading.Thread):
    """One client that asks, again and again, in its own manner."""

    def __init__(self, server, killed, manner, seed):
        super().__init__(daemon=True)
        self.server, self.killed, self.manner = server, killed, manner
        self.receive_buffer = 4096 if manner == "reader" else None
        self.random = random.Random(seed)
        self.enough = threading.Event()
        self.counts = collections.Counter()
        self.problems = []
        self.sent = 0.0  # when the latest request began to be sent

    def run(self):
        while not self.enough.is_set():
            try:
                with self.server.connect(timeout=60, receive_buffer=self.receive_buffer) as client:
                    self.use(client)
            except ConnectionError:
                self.counts["refused"] += 1
                self.problems.append(f"{self.manner}: not connected")
            except AssertionError as failure:
                self.problems.append(f"{self.manner}: {failure}")

    def use(self, client):
        pid = None
        self.sent = time.monotonic()
        for _ in range(self.random.randrange(1, 100)):
            before = self.sent
            if self.enough.is_set() or (pid and select.select([client.socket], [], [], 0)[0]):
                return  # closed between two requests
            began = time.monotonic()
            try:
                response, pid = self.ask(client)
            except (ConnectionError, harness.Truncated) as failure:
                raced = pid and self.sent - before > GRACE and getattr(failure, "response", None) is None
                self.lose(failure, pid, began, raced)
                return
            self.counts["answered"] += 1
            if "close" in response.connection():
                return

    def lose(self, failure, pid, began, raced):
        excused = raced or self.killed.excuse(pid, began)
        self.counts["excused" if excused else "lost"] += 1
        if not excused:
            waited = time.monotonic() - began
            self.problems.append(f"{self.manner}: lost with worker {pid} after {waited:.3f} s: {failure!r}")

    def ask(self, client):
        token = f"{self.random.randrange(1 << 60):x}"
        body = b"y" * 20_000 if self.manner == "sender" else b""
        path, size = MANNERS[self.manner]
        request = harness.make_request("POST" if body else "GET", f"{path}?{token}", body=body)
        if body:
            for at in range(0, len(request), 2_000):
                client.send(request[at : at + 2_000])
                self.sent = self.sent if at else time.monotonic()
                self.enough.wait(0.003)
        else:
            client.send(request)
            self.sent = time.monotonic()
        response = client.response()
        line, _, rest = response.body.partition(b"\n")
        pid, echoed = line.decode().split()
        assert response.status == 200 and echoed == token, f"{token} was answered with {line!r}"
        assert len(rest) == size
        return response, int(pid)


class Chaos:
    """Does one thing at random."""

    def __init__(self, server, killed, seed, templates):
        self.server, self.killed, self.templates = server, killed, templates
        self.random = random.Random(seed)
        self.wanted = WORKERS
        self.done = collections.Counter()

    def workers(self):
        """The processes that have an event loop: a template process has none."""
        return [
            pid
            for pid in sorted(harness.children(self.server.pid))
            if any("eventpoll" in link for link in harness.links(pid))
        ]

    def kill(self):
        victim = self.random.choice(self.workers())
        with contextlib.suppress(ProcessLookupError):
            self.killed.add(victim)
            os.kill(victim, signal.SIGKILL if self.server.sanitized else self.random.choice(FATAL))

    def retire(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.random.choice(self.workers()), signal.SIGTERM)

    def pause(self):
        victim = self.random.choice(self.workers())
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGSTOP)
            harness.measure_for(0.2)
            os.kill(victim, signal.SIGCONT)

    def reload(self):
        self.server.signal(signal.SIGHUP)

    def reopen(self):
        self.server.signal(signal.SIGUSR1)

    def more(self):
        if self.wanted < WORKERS + 2:
            self.wanted += 1
            self.server.signal(signal.SIGTTIN)

    def fewer(self):
        if self.wanted > WORKERS - 1:
            self.wanted -= 1
            self.server.signal(signal.SIGTTOU)

    def act(self):
        often = [self.kill, self.reload] * 2
        action = self.random.choice([*often, self.retire, self.pause, self.reopen, self.more, self.fewer])
        if self.workers():
            action()
            self.done[action.__name__] += 1

    def is_calm(self):
        """As many workers as there should be, and the same ones for a while."""
        before = harness.children(self.server.pid)
        harness.measure_for(1.0)
        count = self.wanted + self.templates
        return len(before) == count and before == harness.children(self.server.pid) and not zombies(before)

    def calm_down(self):
        while self.wanted != WORKERS:
            self.more() if self.wanted < WORKERS else self.fewer()
            harness.measure_for(0.05)
        harness.eventually(self.is_calm, 60, f"{self.wanted} workers")


def descriptors(pid):
    return sorted(re.sub(r"\d+", "N", link) for link in harness.links(pid))


def zombies(pids):
    return [pid for pid in pids if not harness.is_alive(pid)]


class Run:
    """A server, its traffic and its chaos."""

    def __init__(self, cserve, directory, options):
        self.log = directory / "error.log"
        arguments = ("-w", WORKERS, "--threads", "4", "--graceful-timeout", "20", "--max-requests", "3000")
        arguments += ("--max-requests-jitter", "1000", "--error-logfile", self.log, *options)
        self.server = harness.Server(cserve, APP, arguments, cwd=directory)
        self.killed = Killed()
        self.chaos = Chaos(self.server, self.killed, SEED, templates="--preload" in options)
        self.traffic = [
            Traffic(self.server, self.killed, manner, SEED + i)
            for i, manner in enumerate(["fast"] * 3 + ["slow"] * 3 + ["reader", "sender", "stream"])
        ]

    def go(self):
        for each in self.traffic:
            each.start()
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            harness.measure_for(self.chaos.random.uniform(0.05, 0.6))
            self.chaos.act()
        for each in self.traffic:
            each.enough.set()
        for each in self.traffic:
            each.join(90)

    def check_traffic(self):
        assert not any(each.is_alive() for each in self.traffic), "a client hangs"
        counts = sum((each.counts for each in self.traffic), collections.Counter())
        print(dict(counts), dict(self.chaos.done))
        problems = [problem for each in self.traffic for problem in each.problems]
        assert not problems, f"SEED={SEED}: {problems[:10]}\n{self.log.read_text()}"
        assert counts["answered"] > 20 * SECONDS
        assert counts["excused"] <= len(self.traffic) * (2 * len(self.killed.times) + 2)

    def check_size(self, before):
        assert descriptors(self.server.pid) == before[0]
        assert harness.status_kb(self.server.pid, "VmRSS") < before[1] + 2048
        for pid in self.chaos.workers():
            assert len(harness.links(pid)) < 30, harness.links(pid)
            assert harness.status_kb(pid, "VmRSS") < (2_000_000 if self.server.sanitized else 100_000)

    def check_end(self):
        left = harness.all_children(self.server.pid)
        self.server.signal(signal.SIGTERM)
        assert self.server.wait(60) == 0, self.log.read_text()[-4000:]
        assert not any(map(harness.is_alive, left))

    def check_log(self):
        """No error but of those who were killed, and of reloads and handovers that this spoiled."""
        text = self.log.read_text()
        for pid in self.killed.pids:
            text = re.sub(rf".*ERROR worker {pid} was killed by signal.*", "", text)
        text = re.sub(r".*ERROR the (reload has failed|worker that was to be replaced goes on).*", "", text)
        assert not re.findall(r".*(?:ERROR|CRITICAL).*", text)


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["plain", "preload"])
def test_chaos(cserve, tmp_path, options):
    print(f"SEED={SEED} SECONDS={SECONDS}")
    run = Run(cserve, tmp_path, options)
    try:
        before = descriptors(run.server.pid), harness.status_kb(run.server.pid, "VmRSS")
        run.go()
        run.check_traffic()
        run.chaos.calm_down()
        run.check_size(before)
        run.check_end()
        run.check_log()
    finally:
        run.server.kill()
