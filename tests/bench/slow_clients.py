"""Clients that cost a server nothing but patience, until they are told to stop or the time is over.

    python3 tests/bench/slow_clients.py PORT SECONDS

SENDERS send a request a byte at a time; READERS ask for an answer of a megabyte and take READ_SIZE bytes of
it at a time; each does so every TICK seconds. Who is done, or is cut off by the server, begins again.
"""

import contextlib
import select
import socket
import sys
import time

SENDERS, READERS = 150, 50
TICK = 0.1
READ_SIZE = 4096
SLOW_REQUEST = b"GET /hello HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: slow\r\n\r\n"
LARGE_REQUEST = b"GET /bytes?1000000 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def connect(port):
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, READ_SIZE)  # the rest stays with the server
    connection.settimeout(5)
    connection.connect(("127.0.0.1", port))
    connection.setblocking(False)
    return connection


def readable(connection):
    return select.select([connection], [], [], 0)[0]


def sender(port):
    """One client; each next() is a tick."""
    while True:
        with contextlib.suppress(OSError), connect(port) as connection:
            for byte in SLOW_REQUEST:
                connection.send(bytes([byte]))
                yield
            while not readable(connection):
                yield
        yield


def reader(port):
    while True:
        with contextlib.suppress(OSError), connect(port) as connection:
            connection.send(LARGE_REQUEST)
            while not readable(connection) or connection.recv(READ_SIZE):
                yield
        yield


def main(port, seconds):
    connect(port).close()
    clients = [make(port) for make, count in ((sender, SENDERS), (reader, READERS)) for _ in range(count)]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begin = time.monotonic()
        for client in clients:
            next(client)
        time.sleep(max(0.0, begin + TICK - time.monotonic()))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
