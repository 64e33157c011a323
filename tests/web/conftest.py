"""What the HTTP suites share: a server that tells what arrived, and a gate for it to wait at."""

from pathlib import Path

import pytest

import harness

ECHO = Path(__file__).resolve().parent / "apps" / "echo.py"


class Echo:
    """A server with apps/echo.py, and how to read its answers."""

    def __init__(self, server):
        self.server = server

    def connect(self, **options):
        return self.server.connect(**options)

    def calls(self):
        """(method, target) of the requests that reached the application since the last call."""
        return self.server.get("/calls").literal()

    def lines(self, count, start=0):
        """`count` access log lines behind the first `start`, without those of `calls`."""

        def wanted():
            lines = [line for line in self.server.access_lines() if '"GET /calls HTTP/1.1"' not in line][
                start:
            ]
            return len(lines) >= count and lines

        return harness.eventually(wanted, what=f"{count} lines in the access log")

    def count_lines(self):
        """How many lines the access log has now, without those of `calls`."""
        self.calls()  # its own line is behind all earlier ones
        harness.eventually(
            lambda: self.server.access_lines()[-1:] and "/calls" in self.server.access_lines()[-1]
        )
        return sum('"GET /calls HTTP/1.1"' not in line for line in self.server.access_lines())


@pytest.fixture
def launch(cserve, tmp_path):
    """launch(argument..., cwd=DIR, env={}): a run with exactly these arguments, ended with the test."""
    processes = []

    def launch(*arguments, cwd=tmp_path, env=None):
        processes.append(harness.Process(cserve, arguments, cwd, env))
        return processes[-1]

    yield launch
    for process in processes:
        process.kill()


@pytest.fixture
def run(launch):
    """As launch, of a run that ends by itself: its exit status, stdout and stderr."""

    def run(*arguments, **options):
        process = launch(*arguments, **options)
        return process.wait(), process.output(), process.log()

    return run


@pytest.fixture
def start(launch):
    """As launch, of a run that serves: it has said where."""

    def start(*arguments, **options):
        process = launch(*arguments, **options)
        process.wait_output(r"^Serving HTTP on \S+ \.\.\.\n")
        return process

    return start


@pytest.fixture(scope="session")
def echo_server(cserve, tmp_path_factory):
    factory, stop = harness.server_factory(cserve, lambda: tmp_path_factory.mktemp("echo"))
    yield factory(ECHO, "--threads", "1")  # so that lines of the access log come in order
    stop()


@pytest.fixture
def echo(echo_server):
    """The shared server, with default options; no request of an earlier test is in its record."""
    shared = Echo(echo_server)
    shared.calls()
    return shared


@pytest.fixture
def own_echo(serve):
    """own_echo(*options): a server of this test's own."""
    return lambda *options, env=None: Echo(serve(ECHO, *options, env=env))


@pytest.fixture
def gate(tmp_path):
    """A gate for /gate?PATH of the application, closed."""
    gate = harness.Gate(tmp_path / "gate")
    yield gate
    gate.release()
