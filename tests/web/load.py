"""Load by wrk, and what it lost."""

import re
import shutil
import subprocess

import pytest


class Load:
    """wrk against a server while the block runs, at most `seconds`: what was answered, and what was not."""

    def __init__(self, server, connections=64, seconds=120, target="/", prefix=()):
        if shutil.which("wrk") is None:
            pytest.fail("wrk is needed: apt-get install wrk")
        self._command = [
            *prefix,
            "nice",
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{seconds}s",
            server.url.rstrip("/") + target,
        ]
        self.requests = 0
        self.errors = {}
        self.bad = 0  # answers that are neither 2xx nor 3xx

    def __enter__(self):
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_):
        self._process.send_signal(2)
        self.text = self._process.communicate(timeout=60)[0]
        self.requests = int(re.search(r"(\d+) requests in", self.text)[1])
        if match := re.search(r"Socket errors: (.*)", self.text):
            pairs = re.findall(r"(\w+) (\d+)", match[1])
            self.errors = {name: int(count) for name, count in pairs if int(count)}
        if match := re.search(r"Non-2xx or 3xx responses: (\d+)", self.text):
            self.bad = int(match[1])

    def expect_no_loss(self, at_least=100):
        """Every request had its answer. That the server closes a connection behind an answer is no loss."""
        assert self.requests >= at_least, self.text
        assert not self.errors and not self.bad, self.text
