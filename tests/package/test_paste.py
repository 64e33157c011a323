"""The server under PasteDeploy: pserve, with and without --reload."""

import itertools
import os
import re
import signal

import pytest

import harness

pytestmark = pytest.mark.package

INI = """
[app:main]
use = call:site_of_one:make

[server:main]
use = egg:cserve
bind = 127.0.0.1:0
    unix:socket
workers = 1
"""
SITE = """
from pyramid.config import Configurator
from pyramid.response import Response

def make(global_conf, **settings):
    with Configurator() as config:
        config.add_route("home", "/")
        config.add_view(lambda request: Response("version 1"), route_name="home")
    return config.make_wsgi_app()
"""


@pytest.fixture
def pserve(cserve, tmp_path):
    """pserve(option...): a run of it on development.ini."""
    (tmp_path / "development.ini").write_text(INI)
    (tmp_path / "site_of_one.py").write_text(SITE)
    runs = []

    def pserve(*options):
        env = {"PYTHONPATH": tmp_path}
        runs.append(harness.Process(cserve.parent / "pserve", [*options, "development.ini"], tmp_path, env))
        return runs[-1]

    yield pserve
    for run in runs:
        run.kill()


def test_pserve(pserve, tmp_path):
    run = pserve()
    run.wait_output("Serving.*Serving")
    assert run.fetch().text == "version 1"
    with harness.Client(str(tmp_path / "socket")) as client:
        assert client.request(harness.make_request()).text == "version 1"
    run.signal(signal.SIGINT)
    assert run.wait() == 0 and "Traceback" not in run.log()


def test_pserve_names_a_wrong_option(pserve, tmp_path):
    (tmp_path / "development.ini").write_text(INI.replace("workers", "wrokers"))
    run = pserve()
    assert run.wait() == 1
    assert "TypeError: serve() has no option wrokers; did you mean workers?" in run.log()


def test_pserve_reloads(pserve, tmp_path):
    run = pserve("--reload")
    run.wait_output("Serving.*Serving")
    assert run.fetch().text == "version 1"
    site = tmp_path / "site_of_one.py"
    site.write_text(SITE.replace("version 1", "version 2"))
    times = itertools.count(2_000_000_000)

    def is_noticed():
        """It is looked at now and then, and the first time is only remembered."""
        os.utime(site, (next(times),) * 2)
        return "reloading" in run.log() + run.output()

    harness.eventually(is_noticed)
    run.wait_output("(Serving.*){4}")
    address = harness.parse_address(re.findall(r"Serving HTTP on (http\S+)", run.output())[-1])
    with harness.Client(address) as client:
        assert client.request(harness.make_request()).text == "version 2"
    run.signal(signal.SIGTERM)
    run.wait()  # its status tells whether the server took longer than a second to end
