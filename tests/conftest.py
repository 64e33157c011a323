"""Fixtures of all black-box tests. `pytest --cserve PATH` (or CSERVE=PATH) chooses the binary."""

import os
from pathlib import Path

import pytest

import harness


def pytest_addoption(parser):
    parser.addoption(
        "--cserve",
        default=os.environ.get("CSERVE", str(harness.ROOT / "build/release/cserve")),
        help="the server binary to test (default: %(default)s)",
    )


@pytest.fixture(scope="session")
def cserve(request):
    """The binary's absolute path."""
    path = Path(request.config.getoption("--cserve")).resolve()
    assert path.exists(), f"no {path}: build it with make, or name another with --cserve"
    return path


@pytest.fixture
def serve(cserve, tmp_path_factory):
    """serve(app, *options, env={}): a server of this test's own, see harness.Server."""
    factory, stop = harness.server_factory(cserve, lambda: tmp_path_factory.mktemp("serve"))
    yield factory
    stop()


@pytest.fixture(scope="module")
def serve_module(cserve, tmp_path_factory):
    """As `serve`, for servers that all tests of a module share."""
    factory, stop = harness.server_factory(cserve, lambda: tmp_path_factory.mktemp("serve"))
    yield factory
    stop()


@pytest.fixture(autouse=True)
def clean_logs():
    """Whatever servers a test used, their logs hold nothing that it did not expect."""
    yield
    for server in harness.RUNNING:
        server.check()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        for server in harness.RUNNING:
            report.sections.append(
                (f"log of {server.binary} {' '.join(server.arguments)}", server.log()[-6000:])
            )
    return report
