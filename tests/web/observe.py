"""What is looked at while others misbehave: a well-behaved client, and what the worker spends."""

import os
import threading
import time

import harness


class Bystander(threading.Thread):
    """A well-behaved client that asks, again and again, while the block runs; fails if it is not served well.

    `longest` is the longest that it waited for an answer, in seconds.
    """

    def __init__(self, server, patience=5.0, target="/"):
        super().__init__(daemon=True)
        self._server = server
        self._request = harness.make_request(target=target)
        self._patience = patience
        self._enough = threading.Event()
        self._failure = None
        self.served = 0
        self.longest = 0.0

    def run(self):
        try:
            while not self._enough.is_set():
                with self._server.connect() as client:  # now and then a connection of its own
                    for _ in range(50):
                        self._ask(client)
        except BaseException as failure:  # shown by __exit__, in the test's thread
            self._failure = failure

    def _ask(self, client):
        begin = time.monotonic()
        response = client.request(self._request)
        self.longest = max(self.longest, time.monotonic() - begin)
        assert response.status == 200, response
        self.served += 1
        self._enough.wait(0.002)

    def __enter__(self):
        self.start()
        harness.eventually(lambda: self.served or self._failure, what="the bystander's first answer")
        return self

    def __exit__(self, kind, *_):
        self._enough.set()
        self.join(harness.DEADLINE * 2)
        if kind is None:
            if self._failure is not None:
                raise self._failure
            assert not self.is_alive()
            assert self.longest < self._patience, f"the bystander waited {self.longest:.3f} s"


class Spent:
    """Processor time of a process during the block: `seconds`."""

    def __init__(self, pid):
        self._clock = (~pid << 3) | 2  # what clock_getcpuclockid(3) makes of a pid

    def __enter__(self):
        self._begin = time.clock_gettime(self._clock)
        return self

    def __exit__(self, *_):
        self.seconds = time.clock_gettime(self._clock) - self._begin


def descriptors(pid):
    """Descriptor number to what it refers to."""
    found = {}
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(number)] = os.readlink(f"/proc/{pid}/fd/{number}")
        except FileNotFoundError:
            continue  # it was closed in between
    return found


def sockets(pid):
    """How many sockets a process has open."""
    return sum(target.startswith("socket:") for target in descriptors(pid).values())
