"""Fixtures of all black-box tests.

`pytest --cserve PATH` (or CSERVE=PATH) chooses what is tested: the binary, or the command that pip installs.
A few tests are marked as being of one of them, and not run for the other.
"""

import os
from pathlib import Path

import pytest

import harness


def pytest_addoption(parser):
    parser.addoption(
        "--cserve",
        default=os.environ.get("CSERVE", str(harness.ROOT / "build/release/cserve")),
        help="the server to test (default: %(default)s)",
    )


def chosen(config):
    """The absolute path of what is tested."""
    path = Path(config.getoption("--cserve")).absolute()
    assert path.exists(), f"no {path}: build it with make, or name another with --cserve"
    return path


def pytest_collection_modifyitems(config, items):
    if not any(item.get_closest_marker(mark) for item in items for mark in ("binary", "package")):
        return
    mark = "binary" if harness.is_package(chosen(config)) else "package"
    config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker(mark)])
    items[:] = [item for item in items if not item.get_closest_marker(mark)]


@pytest.fixture(scope="session")
def cserve(request):
    """The absolute path of the binary, or of the package's command."""
    return chosen(request.config)


@pytest.fixture(scope="session")
def packaged(cserve):
    """Whether that is the package's command."""
    return harness.is_package(cserve)


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
