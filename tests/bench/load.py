"""Load: wrk and h2load (HTTP/1.1), and what a server has to do beside it.

wrk and h2load send their next request when an answer has come (closed loop): what they measure is how much a
busy server gets done, and the latency under that load, not that of a server with time to spare.
"""

import contextlib
import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import processes
import scenarios

HERE = Path(__file__).resolve().parent
TIMEOUT = 10  # seconds after which an answer that is missing is an error
PATIENCE = 15  # seconds beyond its time until a load tool is given up
VARIED = 7654321  # a number that occurs in no request but as its number


class LoadFailed(Exception):
    """The load tool had no result. The text is for the report."""


@dataclasses.dataclass
class Result:
    """What a load tool saw."""

    requests: int
    seconds: float
    p50_ms: float  # None, as those that follow, if the tool cannot tell
    p99_ms: float
    p999_ms: float
    errors: dict  # kind: count, without those that are 0
    compared: int = 0  # bytes of content that were as they must be


def run_tool(command, core, seconds):
    """What it prints. It is killed if it does not end."""
    with subprocess.Popen(processes.on_core(core, command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True) as process:
        try:
            output, _ = process.communicate(timeout=seconds + PATIENCE)
        except BaseException as error:
            process.kill()
            if isinstance(error, subprocess.TimeoutExpired):
                raise LoadFailed(f"{command[0]} did not end") from None
            raise
    if process.returncode != 0:
        raise LoadFailed(f"{command[0]}: {' / '.join(output.split(chr(10))[-4:])}")
    return output


class Wrk:
    """wrk with wrk.lua, whose input lies in `directory`."""

    def __init__(self, directory, core=None):
        self._directory, self._core = directory, core

    def _write(self, name, data):
        path = self._directory / f"wrk-{name}"
        path.write_bytes(data)
        return f"{name}={path}"

    def arguments(self, scenario, compare, first):
        """What wrk.lua is told."""
        if scenario.varying:
            pieces = scenario.request(VARIED).split(b"%07d" % VARIED)
            words = [self._write("request", b"\0".join(pieces)), f"first={first}"]
        else:
            words = [self._write("request", scenario.request(0))]
        if compare and scenario.compared:
            words.append(self._write("expect", scenario.expected()))
        return words

    def command(self, port, scenario, seconds, compare, first):
        return ["wrk", "--threads", "1", "--connections", str(scenario.connections),
                "--duration", f"{seconds}s", "--timeout", f"{TIMEOUT}s", "--script", str(HERE / "wrk.lua"),
                f"http://127.0.0.1:{port}/", "--", *self.arguments(scenario, compare, first)]

    def run(self, port, scenario, seconds, compare=False, first=0):
        output = run_tool(self.command(port, scenario, seconds, compare, first), self._core, seconds)
        told = re.search(r"^RESULT (.*)$", output, re.MULTILINE)
        if told is None:
            raise LoadFailed(f"wrk had no result: {output[-200:]}")
        told = json.loads(told[1])
        errors = {kind: count for kind, count in {**told["errors"], "wrong": told["wrong"]}.items() if count}
        missing = told["requests"] * len(scenario.expected()) - told["received"]
        if missing > 0 and "status" not in errors:
            errors["bytes missing"] = missing
        latencies_ms = [told[percentile] / 1e3 for percentile in ("p50", "p99", "p999")]
        if scenario.pipeline > 1:  # its correction takes a batch for a request
            latencies_ms = [None] * 3
        return Result(told["requests"], told["us"] / 1e6, *latencies_ms, errors, told["compared"])


class H2load:
    """h2load over HTTP/1.1: another opinion than wrk's. It compares no content."""

    def __init__(self, directory, core=None):
        self._log, self._core = directory / "h2load.log", core

    def run(self, port, scenario, seconds, compare=False, first=0):
        self._log.unlink(missing_ok=True)  # it would append
        command = ["h2load", "--h1", "--threads", "1", "--clients", str(scenario.connections),
                   "--duration", str(seconds), "--log-file", str(self._log), f"http://127.0.0.1:{port}/hello"]
        output = run_tool(command, self._core, seconds)
        counts = dict(re.findall(r"(\d+) (succeeded|failed|errored|timeout)", output))
        counts = {kind: int(count) for count, kind in counts.items()}
        took_ms = sorted(int(line.split()[2]) / 1e3 for line in self._log.read_text().splitlines())
        if not took_ms:
            raise LoadFailed("no request was answered")
        at = [took_ms[min(len(took_ms) - 1, int(len(took_ms) * share))] for share in (0.5, 0.99, 0.999)]
        errors = {kind: counts[kind] for kind in ("failed", "errored", "timeout") if counts.get(kind)}
        return Result(len(took_ms), seconds, *at, errors)


TOOLS = {"wrk": Wrk, "h2load": H2load}

SLEEPERS = dataclasses.replace(
    scenarios.BY_NAME["hello"], name="sleepers", request=scenarios.get("/sleep?100"), connections=4)


def sleepers(port, seconds, places):
    """Four clients whose requests sleep in the application for 100 ms."""
    directory = places.scratch / "sleepers"
    directory.mkdir(exist_ok=True)
    return Wrk(directory).command(port, SLEEPERS, seconds, False, 0)


def slow_clients(port, seconds, places):
    """Clients that send a request over seconds, and others that take as long to read an answer."""
    return [sys.executable, str(HERE / "slow_clients.py"), str(port), str(seconds)]


COMPANIONS = {"sleepers": sleepers, "slow clients": slow_clients}


@contextlib.contextmanager
def beside(scenario, port, seconds, places):
    """Runs what the scenario wants beside a load of so many seconds. Yields what fails if that is over."""
    if not scenario.beside:
        yield lambda: None
        return
    command = COMPANIONS[scenario.beside](port, seconds + PATIENCE, places)
    process = processes.start(command, places.client_core, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True)

    def check():
        if process.poll() is not None:
            raise LoadFailed(f"{scenario.beside} ended early: {process.stdout.read()[-200:]}")

    try:
        yield check
    finally:
        processes.stop(process)
        process.stdout.close()
