"""What the HTTP suites share: a server that tells what arrived, and a gate for it to wait at."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import harness
import hosts
import proxies
import watched

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


@pytest.fixture(scope="module")
def network():
    """Machines in network namespaces, five of them for cserve."""
    if reason := hosts.why_not():
        pytest.skip(reason)
    network = hosts.Network(5)
    yield network
    network.remove()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    return proxies.make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def site(cserve, network, certificate):
    """A Site of this module's own."""
    site = proxies.Site(cserve, network, certificate)
    yield site
    site.clear()


@pytest.fixture
def watch(serve):
    """watch(*options): a server with apps/watched.py, and its status listener on a free port."""

    def watch(*options, app=watched.APP, **rest):
        return watched.Watched(serve(app, "--status", "127.0.0.1:0", *options, **rest))

    return watch


@pytest.fixture
def root():
    if os.geteuid() != 0:
        pytest.skip("only root can change users")


def is_public(path):
    """Whether every user can get there."""
    path = Path(path).resolve()
    return all(directory.stat().st_mode & 0o005 == 0o005 for directory in [path, *path.parents])


@pytest.fixture(scope="session")
def public_cserve(cserve, tmp_path_factory):
    """A cserve that every user can run: with the system's Python, if the one at hand is in a home."""
    if is_public(sys.base_prefix) and is_public(Path(cserve).parent):
        return cserve
    directory = tmp_path_factory.mktemp("public")
    for above in [directory, *directory.parents]:
        if above.stat().st_uid == os.geteuid() and above != Path("/"):
            above.chmod(above.stat().st_mode | 0o055)
    command = ["make", "-j2", "VARIANT=release", "PYTHON=/usr/bin/python3", f"BUILD={directory}"]
    not_for_make = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    env = {name: value for name, value in os.environ.items() if name not in not_for_make}
    subprocess.run(command, cwd=Path(__file__).parents[2], env=env, check=True, stdout=subprocess.DEVNULL)
    return str(directory / "release" / "cserve")


@pytest.fixture
def open_directory(tmp_path):
    """A directory that everybody may enter and write to; pytest's own are for root alone."""
    for directory in [tmp_path, *tmp_path.parents]:
        if directory.stat().st_uid == os.geteuid() and directory != Path("/"):
            directory.chmod(directory.stat().st_mode | 0o055)
    tmp_path.chmod(0o777)
    return tmp_path
