"""--slow-request: the error log says where a request is that takes long, once, while it goes on."""

import json
import re
from pathlib import Path

import pytest

import harness
from harness import make_request

APP = str(Path(__file__).parent / "apps" / "slow.py")
SLOW = r"WARNING GET /{} HTTP/1\.1 has taken (\d+\.\d) s so far; the application is at:\n"


@pytest.fixture(params=["1", "4"])
def patient(serve, request):
    """patient(*options): a server that calls 0.3 seconds slow, with one thread and with some."""
    return lambda *options: serve(APP, "--slow-request", "0.3", "--threads", request.param, *options)


@pytest.mark.parametrize("timeout", ["0", "30"])
def test_it_is_reported_while_it_runs(patient, timeout):
    server = patient("--timeout", timeout)
    with server.connect() as client:
        client.send(make_request(target="/sleep?1.2"))
        match = server.wait_log(SLOW.format(r"sleep\?1\.2"))
        assert client.is_silent()
        server.wait_log(r"slow\.py\", line \d+, in sleep\n")
        assert client.response().text == "slept"
    assert 0.3 <= float(match[1]) <= 1.1
    assert len(re.findall("so far", server.log())) == 1


def test_quick_ones_are_not_reported(patient):
    server = patient()
    for _ in range(3):
        assert server.get("/late?0.1").status == 200
    assert "so far" not in server.log()


def test_each_slow_request_is_reported_once(patient):
    server = patient()
    with server.connect() as client:
        for _ in range(2):
            client.request(make_request(target="/sleep?0.8"))
    assert len(re.findall("so far", server.log())) == 2


def test_one_that_goes_on_in_steps_is_reported_once(serve):
    """Its client holds it up, so that the handler is called anew."""
    server = serve(APP, "--slow-request", "0.5")
    with server.connect(receive_buffer=4096) as client:
        client.send(make_request(target="/steps"))
        assert len(client.response().body) == 20 * 4_000_000
    assert len(re.findall("so far", server.log())) == 1


def test_one_that_is_ended_is_reported_as_both(patient):
    server = patient("--timeout", "1")
    assert server.get("/spin").status == 504
    log = harness.eventually(lambda: "too long" in server.log() and server.log())
    assert log.index("so far") < log.index("too long")


def test_a_deadline_that_comes_first_is_all_that_is_said(serve):
    server = serve(APP, "--slow-request", "5", "--timeout", "0.4")
    assert server.get("/spin").status == 504
    assert "so far" not in server.log()


def test_json(serve):
    server = serve(APP, "--slow-request", "0.2", "--log-json")
    server.get("/sleep?0.7")
    [entry] = [json.loads(line) for line in server.log().splitlines() if "so far" in line]
    assert entry["level"] == "WARNING" and "in sleep\n" in entry["message"]
