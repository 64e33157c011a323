"""How many instructions a request costs in user space: `make bench-instr` runs this.

    python3 tests/bench/instr.py build/pgo/cserve [--connections N] [--functions]

The server runs apps/hello.py under callgrind and answers keep-alive clients; what a request costs is the
difference of two runs that differ in nothing but the number of requests. Instructions do not depend on what
else the machine does, so the program fails when a figure exceeds its limit: its budget, where every
interpreter keeps that.
"""

import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parents[2]
FEW, MANY = 3000, 9000  # requests of the two runs
CONNECTIONS = 64
SHOWN = 60  # functions

SCENARIOS = [
    # name, request, budget, limit
    ("minimal request", requests.minimal, 4500, 4500),
    ("browser's request, repeated", requests.browser, 7500, 7500),
    # Interpreters need 350 or more for each new string: to make it, to put it into a dict, to free it.
    ("browser's request, every value new", requests.varying, 14000, 15500),
]


class Client:
    """So many connections, each of which has a request under way."""

    def __init__(self, port, count):
        self.sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]

    def send(self, make_request, total):
        numbers = iter(range(total))
        rounds, rest = divmod(total, len(self.sockets))
        for this in [self.sockets] * rounds + [self.sockets[:rest]]:
            for connection in this:
                connection.sendall(make_request(next(numbers)))
            for connection in this:
                expect_answer(connection)

    def close(self):
        for connection in self.sockets:
            connection.close()


def expect_answer(connection):
    answer = b""
    while not answer.endswith(b"Hello, World!\n"):
        piece = connection.recv(4096)
        if not piece:
            raise SystemExit(f"the connection was closed behind {answer!r}")
        answer += piece
    if not answer.startswith(b"HTTP/1.1 200 OK\r\n"):
        raise SystemExit(f"a wrong answer: {answer!r}")


def callgrind(binary, make_request, count, connections, folder):
    """The profile of the worker after so many requests, a file."""
    pattern = f"{folder}/{count}.%p"
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={pattern}", "--trace-children=yes",
               "-q", binary, "--port", "0", "--workers", "1", "--log-level", "error", ROOT / "apps/hello.py"]
    repeatable = {**os.environ, "PYTHONHASHSEED": "0"}  # where keys of a dict collide is chance otherwise
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=repeatable) as server:
        port = int(re.match(r"Serving HTTP on http://127.0.0.1:(\d+)/", server.stdout.readline())[1])
        worker = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()[0]
        client = Client(port, connections)
        client.send(make_request, count)
        client.close()
        server.send_signal(signal.SIGTERM)
        server.wait()
    return Path(pattern.replace("%p", worker))


def by_function(profile):
    """Instructions of each function itself, and of all."""
    report = subprocess.run(["callgrind_annotate", "--threshold=100", "--auto=no", profile], check=True,
                            capture_output=True, text=True).stdout
    costs = {}
    for line in report.splitlines():
        match = re.match(r"\s*([\d,]+) \(\s*[\d.]+%\)\s+(\S.*)", line)
        if match and not match[2].startswith(("=>", "events annotated")):
            name = match[2].rpartition(":")[2].split(" [")[0]
            costs[name] = costs.get(name, 0) + int(match[1].replace(",", ""))
    return costs, costs.pop("PROGRAM TOTALS")


def measure(binary, make_request, connections):
    """Instructions for each request: of all, and {function: its own}."""
    with tempfile.TemporaryDirectory() as folder:
        (few, few_all), (many, many_all) = (
            by_function(callgrind(binary, make_request, count, connections, folder)) for count in (FEW, MANY))
    each = {name: (cost - few.get(name, 0)) / (MANY - FEW) for name, cost in many.items()}
    return (many_all - few_all) / (MANY - FEW), each


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("binary")
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--functions", action="store_true", help="list the most expensive functions")
    options = parser.parse_args()
    missed = 0
    print(f"instructions a request, {options.connections} connections:")
    for name, make_request, budget, limit in SCENARIOS:
        cost, functions = measure(options.binary, make_request, options.connections)
        verdict = "ok" if cost <= budget else "MISSED" if cost <= limit else "TOO MANY"
        missed += cost > limit
        print(f"  {name:<36}{cost:>9.0f}  budget {budget:>6}  {verdict}", flush=True)
        if options.functions:
            for function in sorted(functions, key=functions.get, reverse=True)[:SHOWN]:
                print(f"    {functions[function]:>9.1f}  {function}")
    return missed > 0


if __name__ == "__main__":
    sys.exit(main())
