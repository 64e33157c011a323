"""Is Python inside cserve as fast as the same Python by itself? `make bench-loop` runs this.

    python3 tests/bench/loop.py build/release/cserve /usr/bin/python3.11

A loop of dictionary lookups and calls is timed in a fresh cserve and in a fresh interpreter, in turns: by the
processor time of its thread, on which what else the machine does has little influence, and by the clock. The
ratio of the fastest times should be about 1; the program fails when a cserve that is linked statically
exceeds LIMIT.
"""

import json
import re
import subprocess
import sys
import time
import urllib.request

ROUNDS = 15
LIMIT = 1.15


def step(table, key, add):
    table[key] = table.get(key, 0) + add
    return table[key]


def loop(count=300_000):
    """Seconds of processor time, and by the clock, that `count` steps take."""
    table = {}
    keys = [str(number) for number in range(100)]
    begin = time.thread_time(), time.perf_counter()
    for number in range(count):
        step(table, keys[number % 100], number & 7)
    return time.thread_time() - begin[0], time.perf_counter() - begin[1]


def fastest(measurements):
    """The least of each column."""
    return tuple(map(min, zip(*measurements)))


def measure():
    return fastest(loop() for _ in range(3))


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(measure()).encode()]


def in_cserve(cserve):
    command = [cserve, "--port", "0", "--log-level", "error", __file__]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        url = re.match(r"Serving HTTP on (\S+)", server.stdout.readline())[1]
        with urllib.request.urlopen(url) as response:
            seconds = json.load(response)
        server.terminate()
    return seconds


def in_python(python):
    return json.loads(subprocess.check_output([python, __file__]))


def compare(cserve, python):
    version = subprocess.check_output([cserve, "--version"], text=True).strip()
    ours, theirs = map(fastest, zip(*((in_cserve(cserve), in_python(python)) for _ in range(ROUNDS))))
    for name, our, their in zip(("processor time", "by the clock"), ours, theirs):
        print(f"{name}: {version} {our * 1e3:.1f} ms, {python} {their * 1e3:.1f} ms, ratio {our / their:.3f}")
    if "static" in version and ours[0] / theirs[0] > LIMIT:
        sys.exit(f"slower than {LIMIT} times the interpreter's own executable")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        compare(*sys.argv[1:])
    else:
        print(json.dumps(measure()))
