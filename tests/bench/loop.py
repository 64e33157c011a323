"""Is Python inside cserve as fast as the same Python by itself? `make bench-loop` runs this.

    python3 tests/bench/loop.py build/release/cserve /usr/bin/python3.11

A loop of dictionary lookups and calls is timed in a fresh cserve and in a fresh interpreter, in turns, by the
processor time of its thread, so that what else the machine does meets both and counts little. The ratio of the fastest times should be about 1; the program
fails when a cserve that is linked statically exceeds LIMIT.
"""

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
    """Seconds of processor time that `count` steps take."""
    table = {}
    keys = [str(number) for number in range(100)]
    begin = time.thread_time()
    for number in range(count):
        step(table, keys[number % 100], number & 7)
    return time.thread_time() - begin


def measure():
    return min(loop() for _ in range(3))


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [repr(measure()).encode()]


def in_cserve(cserve):
    command = [cserve, "--port", "0", "--log-level", "error", __file__]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        url = re.match(r"Serving HTTP on (\S+)", server.stdout.readline())[1]
        with urllib.request.urlopen(url) as response:
            seconds = float(response.read())
        server.terminate()
    return seconds


def in_python(python):
    return float(subprocess.check_output([python, __file__]))


def compare(cserve, python):
    version = subprocess.check_output([cserve, "--version"], text=True).strip()
    pairs = [(in_cserve(cserve), in_python(python)) for _ in range(ROUNDS)]
    ours, theirs = map(min, zip(*pairs))
    print(f"{version}: {ours * 1e3:.1f} ms; {python}: {theirs * 1e3:.1f} ms; ratio {ours / theirs:.3f}")
    if "static" in version and ours / theirs > LIMIT:
        sys.exit(f"slower than {LIMIT} times the interpreter's own executable")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        compare(*sys.argv[1:])
    else:
        print(measure())
