"""What threads cost and what they give: `make bench-threads` runs this.

    python3 tests/bench/threads.py build/release/cserve

Each scenario starts servers with one worker, has wrk load them for some seconds, and prints what was
measured beside what is aimed at. Servers and load share the machine, so a busy machine shows in every figure:
`idle` is the longest that a thread of this program overslept a millisecond meanwhile. Fails when an aim is
missed.
"""

import re
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

SECONDS = 4
UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}
HELLO = str(Path(__file__).parents[2] / "apps" / "hello.py")


def app(environ, start_response):
    """/sleep?MS, /cpu?MS, anything else at once."""
    ms = int(environ["QUERY_STRING"] or 0)
    if environ["PATH_INFO"] == "/sleep":
        time.sleep(ms / 1000)
    elif environ["PATH_INFO"] == "/cpu":
        until = time.perf_counter() + ms / 1000
        while time.perf_counter() < until:
            pass
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello, World!\n"]


def count_for_ever():
    """What an application's own busy thread does; how far it came is told by /counted."""
    global counted
    while True:
        counted += 1


counted = 0


def busy_app(environ, start_response):
    """`app`, beside a thread of its own that never rests once /start was asked for."""
    if environ["PATH_INFO"] == "/start":
        threading.Thread(target=count_for_ever, daemon=True).start()
    elif environ["PATH_INFO"] == "/counted":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(counted).encode()]
    return app(environ, start_response)


class Server:
    def __init__(self, binary, spec, *options):
        command = [binary, "--port", "0", "--log-level", "error", *options, spec]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = re.match(r"Serving HTTP on (\S+)/ ", self.process.stdout.readline())[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def cpu_seconds(self):
        master = self.process.pid
        pids = [master, *Path(f"/proc/{master}/task/{master}/children").read_text().split()]
        ticks = 0
        for pid in pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / 100


class Load:
    """wrk under way; `result()` waits for its end."""

    def __init__(self, url, connections, seconds=SECONDS):
        command = ["wrk", "-t1", "--latency", f"-c{connections}", f"-d{seconds}", url]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def result(self):
        output = self.process.communicate()[0]
        number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s|m)", output).groups()
        if "Socket errors" in output or "Non-2xx" in output:
            raise SystemExit(f"errors under load:\n{output}")
        requests = int(re.search(r"(\d+) requests in", output)[1])
        return requests, float(re.search(r"Requests/sec:\s+([\d.]+)", output)[1]), float(number) * UNITS[unit]


class Idle:
    """How late a thread that sleeps for a millisecond at a time wakes, at worst."""

    def __enter__(self):
        self.worst, self.over = 0.0, False
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def _watch(self):
        while not self.over:
            begin = time.perf_counter()
            time.sleep(0.001)
            self.worst = max(self.worst, (time.perf_counter() - begin) * 1e3 - 1)

    def __exit__(self, *_):
        self.over = True
        self.thread.join()


failures = []


def report(what, value, unit, aim, holds):
    print(f"  {what:<58}{value:>10.2f} {unit:<6} aim {aim:<12}{'ok' if holds else 'MISSED'}")
    if not holds:
        failures.append(what)


def hello(binary, spec):
    """The cost of eight parked threads, in CPU time a request. Rounds are short: a machine's moods last."""
    ratios = []
    with Server(binary, HELLO, "--threads", "1") as one, Server(binary, HELLO, "--threads", "8") as eight:
        for _ in range(12):
            costs = {}
            for server in (one, eight):
                before = server.cpu_seconds()
                requests, _, _ = Load(server.url, 64, 2).result()
                costs[server] = (server.cpu_seconds() - before) / requests
            ratios.append(costs[eight] / costs[one])
    ratio = statistics.median(ratios)
    report("hello, CPU a request, 8 threads to 1", ratio, "", "<= 1.03", ratio <= 1.03)


def sleepers(binary, spec):
    with Server(binary, f"{spec}:app", "--threads", "32") as server:
        Load(server.url + "/sleep?10", 64, 1).result()
        _, rate, p99 = Load(server.url + "/sleep?10", 64).result()
    good = rate >= 0.96 * 3200
    report("10 ms sleeps on 32 threads, of the ideal 3,200/s", rate / 3200, "", ">= 0.96", good)
    report("  p99, of the ideal 20 ms", p99 / 20, "", "<= 1.15", p99 <= 1.15 * 20)


def short_waits(binary, spec):
    """Shorter than the switch interval: a handler that waits is not one that waits for the GIL."""
    with Server(binary, f"{spec}:app", "--threads", "8") as server:
        Load(server.url + "/sleep?4", 8, 1).result()
        _, rate, _ = Load(server.url + "/sleep?4", 8).result()
    report("4 ms sleeps on 8 threads, of the ideal 2,000/s", rate / 2000, "", ">= 0.75", rate >= 0.75 * 2000)


def mixture(binary, spec):
    ratios, p99s, p99s_alone = [], [], []
    with Server(binary, f"{spec}:app", "--threads", "16") as server:
        for _ in range(5):
            _, alone, p99 = Load(server.url, 60, 2).result()
            p99s_alone.append(p99)
            slow = Load(server.url + "/sleep?100", 4, 3)
            _, rate, p99 = Load(server.url, 60, 2).result()
            slow.result()
            p99s.append(p99)
            ratios.append(rate / alone)
    p99, ratio = statistics.median(p99s), statistics.median(ratios)
    what = f"tiny requests beside 100 ms sleeps, p99 (alone {statistics.median(p99s_alone):.2f})"
    report(what, p99, "ms", "< 3", p99 < 3)
    report("  throughput, of what it is alone", ratio, "", ">= 0.90", ratio >= 0.9)


def cpu_bound(binary, spec):
    with Server(binary, f"{spec}:app", "--threads", "8") as server:
        slow = Load(server.url + "/cpu?50", 1, SECONDS + 1)
        _, _, p99 = Load(server.url, 16).result()
        slow.result()
    report("tiny requests beside one of 50 ms of CPU, p99", p99, "ms", "< 15", p99 < 15)


def busy_thread(binary, spec):
    with Server(binary, f"{spec}:busy_app", "--threads", "4") as server:
        _, alone, _ = Load(server.url, 64).result()
        subprocess.check_call(["curl", "-s", "-o", "/dev/null", server.url + "/start"])
        _, rate, _ = Load(server.url, 64).result()
        counts = []
        for _ in range(2):
            counts.append(int(subprocess.check_output(["curl", "-s", server.url + "/counted"])))
            time.sleep(1)
    share = rate / alone
    report("beside a busy thread of the application, of alone", share, "", ">= 0.33", share >= 1 / 3)
    report("  and that thread, while the server is idle", (counts[1] - counts[0]) / 1e6, "M/s", "> 0.1",
           counts[1] - counts[0] > 100_000)


def main(binary):
    for scenario in (hello, sleepers, short_waits, mixture, cpu_bound, busy_thread):
        with Idle() as idle:
            scenario(binary, __file__)
        print(f"  {'idle':<58}{idle.worst:>10.2f} ms")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
