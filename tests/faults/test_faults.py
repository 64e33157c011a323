"""Whatever call of the C library fails, and whenever: each request gets a right answer, an error answer or a
closed connection, and afterwards the server still serves.

A script of requests is run again and again. Each time the next call of one function goes wrong, until the
script no longer makes that many.
"""

import os

import pytest

import faults
import harness
from script import APP, CONTENT, OPTIONS, SCRIPT, echo, run_script

pytestmark = pytest.mark.binary

# What is worth trying, and whether all requests must be answered all the same.
CASES = [
    ("malloc", "ENOMEM", False),
    ("accept4", "EMFILE", True),
    ("accept4", "ECONNABORTED", True),
    ("recv", "ECONNRESET", False),
    ("recv", "EINTR", True),
    ("recv", "EAGAIN", True),
    ("recv", faults.SHORT, True),
    ("send", "EPIPE", False),
    ("send", "EINTR", True),
    ("send", "EAGAIN", True),
    ("send", faults.SHORT, True),
    ("sendfile", "EIO", False),
    ("sendfile", "EINTR", True),
    ("sendfile", "EAGAIN", True),
    ("sendfile", faults.SHORT, True),
    ("epoll_ctl", "ENOMEM", False),
    ("epoll_wait", "EINTR", True),
    ("epoll_wait", "EBADF", False),
    ("open", "EMFILE", False),
    ("open", "ENOSPC", False),
    ("write", "ENOSPC", False),
    ("write", "EINTR", True),
    ("write", faults.SHORT, True),
]


class Fixture:
    """A server with the library in it; another when its worker died, since the master would take its time."""

    def __init__(self, binary, directory, extra=None):
        self.binary = binary
        self.extra = extra or {}
        self.directory = directory
        self.with_malloc = not harness.is_sanitized(binary)
        self.library = faults.build(directory, self.with_malloc)
        self.server = None

    def start(self):
        self.control = faults.Control(self.directory / "control")
        (self.directory / "content").write_bytes(CONTENT)
        environment = faults.environment(self.binary, self.library, self.control) | self.extra
        self.server = faults.Faulty(self.binary, APP, OPTIONS, environment, self.directory)
        self.pid = self.server.worker

    def stop(self):
        if self.server:
            server, self.server = self.server, None
            server.stop()
            server.check()

    def ready(self):
        if self.server is None:
            self.start()
        return self.server


@pytest.fixture(scope="module")
def faulty(cserve, tmp_path_factory):
    fixture = Fixture(cserve, tmp_path_factory.mktemp("faults"))
    yield fixture
    fixture.stop()


@pytest.fixture
def faulty_python(cserve, tmp_path):
    """With an interpreter that takes each of its objects from malloc."""
    fixture = Fixture(cserve, tmp_path, {"PYTHONMALLOC": "malloc"})
    yield fixture
    fixture.stop()


def pytest_generate_tests(metafunc):
    if "transparent" in metafunc.fixturenames:
        sanitized = harness.is_sanitized(metafunc.config.getoption("--cserve"))
        cases = [case for case in CASES if case[0] != "malloc" or not sanitized]
        ids = [f"{function}-{error}" for function, error, _ in cases]
        metafunc.parametrize("function, error, transparent", cases, ids=ids)


def try_call(faulty, function, error, number, transparent):
    """Let one call fail. Whether the script made that many."""
    server = faulty.ready()
    faulty.control.arm(faulty.pid, function, error, number)
    count = run_script(server)
    failed = faulty.control.disarm()[1]
    right = count == len(SCRIPT) or (failed and not transparent)
    assert right, f"call {number}: {count} answers\n{server.log()}"
    assert server.get("/after").body == echo("/after"), f"call {number}"
    if server.worker != faulty.pid:
        faulty.stop()
    return failed > 0


def test_a_call_fails(faulty, function, error, transparent):
    number = 1
    while try_call(faulty, function, error, number, transparent):
        number += 1
    assert number > 1, "the script makes no such call"


def test_python_is_out_of_memory(faulty_python):
    """By default, every third of its allocations is tried; CSERVE_FAULTS_ALL=1 tries all."""
    number, step = 1, 1 if os.environ.get("CSERVE_FAULTS_ALL") else 3
    while faulty_python.with_malloc and try_call(faulty_python, "malloc", "ENOMEM", number, False):
        number += step
    assert number > 200 or not faulty_python.with_malloc


@pytest.mark.parametrize("function", ["recv", "send", "sendfile", "write"])
def test_all_calls_are_short(faulty, function):
    server = faulty.ready()
    faulty.control.arm(faulty.pid, function, faults.SHORT, 1, times=5000)
    count = run_script(server)
    assert faulty.control.disarm()[1] > 100
    assert count == len(SCRIPT)


def test_accepting_goes_on(faulty):
    """Accepting was paused, and cannot be resumed at once either."""
    server = faulty.ready()
    faulty.control.arm(faulty.pid, "accept4", "EMFILE", 1)
    with server.connect() as client:
        harness.eventually(lambda: faulty.control.counts()[1])
        faulty.control.arm(faulty.pid, "epoll_ctl", "ENOMEM", 1)
        response = client.request(harness.make_request("GET", "/"))
        assert response.body == echo("/")
        assert faulty.control.disarm()[1] == 1
