"""What a build learns from: `make pgo` has the compiler watch a server do this.

    python3 tests/bench/train.py build/pgo/cserve

Requests of all usual kinds, in about the proportions that matter; nothing is measured.
"""

import re
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import requests

HELLO = Path(__file__).resolve().parents[2] / "apps/hello.py"
CONNECTIONS = 32
ROUNDS = 300


def post(number):
    body = b"x" * (number % 3000)
    fields = b"Host: a.test\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n" % len(body)
    return b"POST /form?%d HTTP/1.1\r\n%b\r\n%b" % (number, fields, body)


def chunked(_number):
    return (b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5\r\nhello\r\n6;name=value\r\n world\r\n0\r\n\r\n")


def other_target(number):
    return requests.BROWSER.replace(b"/hello", b"/pages/%d/with%%20space?page=%d" % (number % 50, number), 1)


def pipelined(number):
    return requests.MINIMAL * 8 if number % 4 == 0 else requests.MINIMAL


KINDS = [requests.minimal, requests.browser, requests.varying, other_target, post, chunked, pipelined]



def exchange(connections, make_request, number):
    """One request, or some pipelined ones, on each connection, all at once."""
    sent = [make_request(number + i) for i in range(len(connections))]
    for connection, data in zip(connections, sent):
        connection.sendall(data)
    for connection, data in zip(connections, sent):
        wanted = max(1, data.count(b" HTTP/1.1\r\n"))
        received = b""
        while received.count(b"Hello, World!\n") < wanted:
            piece = connection.recv(65536)
            if not piece:
                raise SystemExit(f"the connection was closed behind {received[-300:]!r}")
            received += piece


def train(binary, *options):
    command = [binary, "--port", "0", "--log-level", "error", *options, HELLO]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        port = int(re.match(r"Serving HTTP on http://127.0.0.1:(\d+)/", server.stdout.readline())[1])
        for make_request in KINDS:
            connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)]
            for number in range(ROUNDS):
                exchange(connections, make_request, number * CONNECTIONS)
            for connection in connections:
                connection.close()
        server.send_signal(signal.SIGTERM)
        if server.wait() != 0:
            raise SystemExit(f"{binary} exited with status {server.returncode}")


if __name__ == "__main__":
    train(sys.argv[1])
    train(sys.argv[1], "--access-logfile", "/dev/null")
    with tempfile.TemporaryDirectory() as folder:
        train(sys.argv[1], "--status", f"unix:{folder}/status.sock")
